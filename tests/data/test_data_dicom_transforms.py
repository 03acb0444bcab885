"""Every value transform of a DICOM file, with values worked out by hand from PS3.3 C.7.6.3, C.11.1 and C.11.2."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from medrobust.data import View
from medrobust.data.files.pixels import BrokenImageError
from medrobust.data.files.read import read_pixels
from medrobust.data.images.view import to_unit

V = np.array([[0, 1000, 2048, 4095]], np.uint16)  # 12 bits


def table(entries: Sequence[float], first: int = 0, bits: int = 16, packed: bool = False) -> Dataset:
    item = Dataset()
    vr = "SS" if first < 0 else "US"
    item.add_new("LUTDescriptor", vr, [len(entries) % 65536, first, bits])
    item.ModalityLUTType = "US"
    item.add_new("LUTData", "OW", np.asarray(entries, np.uint8 if packed else np.uint16).tobytes())
    return item


def group(**macros: Dataset) -> Dataset:
    """A functional group whose macros hold one item."""
    item = Dataset()
    for name, content in macros.items():
        setattr(item, name, [content])
    return item


def having(**tags: object) -> Dataset:
    item = Dataset()
    for name, value in tags.items():
        setattr(item, name, value)
    return item


def shown(path: Path, view: View | None = None, frame: int = -1) -> list[float]:
    return to_unit(read_pixels(path, frame), view or View())[0].flatten().tolist()


def refused(path: Path, view: View | None = None) -> str:
    with pytest.raises(BrokenImageError) as error:
        shown(path, view)
    assert "\n" not in str(error.value)
    return str(error.value)


ROOT = (255 * (np.arange(4096) / 4095) ** 0.5).round()


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        # modality LUT: the range is that of the entries, not of the stored bits
        ({"ModalityLUTSequence": [table(np.arange(4096) * 16)]}, [0, 16000 / 65535, 32768 / 65535, 65520 / 65535]),
        ({"ModalityLUTSequence": [table(np.arange(4096) // 4, bits=10)]}, [0, 250 / 1023, 512 / 1023, 1]),
        ({"ModalityLUTSequence": [table([7, 9, 30], first=999, bits=8)]}, [7 / 255, 9 / 255, 30 / 255, 30 / 255]),
        (
            {"ModalityLUTSequence": [table([7, 9], first=999, bits=8, packed=True)]},
            [7 / 255, 9 / 255, 9 / 255, 9 / 255],
        ),
        ({"ModalityLUTSequence": [table(np.arange(65536))]}, [0, 1000 / 65535, 2048 / 65535, 4095 / 65535]),
        (
            {"ModalityLUTSequence": [table(np.arange(4096) // 4, bits=10)], "WindowCenter": 512, "WindowWidth": 101},
            [0, 0, 0.5 + 0.5 / 100, 1],
        ),
        # VOI LUT, alone and preferred to a window
        ({"VOILUTSequence": [table(ROOT, bits=8)]}, [0, 126 / 255, 180 / 255, 1]),
        ({"VOILUTSequence": [table(ROOT, bits=8)], "WindowCenter": 9, "WindowWidth": 9}, [0, 126 / 255, 180 / 255, 1]),
        ({"VOILUTSequence": [table(ROOT, bits=8)], "WindowCenter": 9, "WindowWidth": 0}, [0, 126 / 255, 180 / 255, 1]),
        ({"VOILUTSequence": [table([3, 4095, 0, 5], first=2046, bits=12)]}, [3 / 4095, 3 / 4095, 0, 5 / 4095]),
        (
            {
                "VOILUTSequence": [table([1, 2, 200], first=-25, bits=8)],
                "RescaleSlope": 1,
                "RescaleIntercept": -1024,
            },
            [1 / 255, 2 / 255, 200 / 255, 200 / 255],
        ),
        (  # the same first value, written as an unsigned word
            {"VOILUTSequence": [table([1, 2, 200], first=65511, bits=8)], "RescaleSlope": 1, "RescaleIntercept": -1024},
            [1 / 255, 2 / 255, 200 / 255, 200 / 255],
        ),
        # windows
        ({"WindowCenter": 2048, "WindowWidth": 1001}, [0, 0, 0.5 + 0.5 / 1000, 1]),
        ({"WindowCenter": 2048, "WindowWidth": 1000, "VOILUTFunction": "LINEAR_EXACT"}, [0, 0, 0.5, 1]),
        ({"WindowCenter": 2048, "WindowWidth": 1}, [0, 0, 1, 1]),
        ({"WindowCenter": 2048.5, "WindowWidth": 1}, [0, 0, 0, 1]),  # at the threshold itself: below
        ({"WindowCenter": 2048, "WindowWidth": 1, "VOILUTFunction": "LINEAR_EXACT"}, [0, 0, 0.5, 1]),
        ({"WindowCenter": 2048, "WindowWidth": 0.5, "VOILUTFunction": "LINEAR_EXACT"}, [0, 0, 0.5, 1]),
        (
            {"WindowCenter": 2048, "WindowWidth": 1000, "VOILUTFunction": "SIGMOID"},
            [1 / (1 + np.exp(-4 * (v - 2048) / 1000)) for v in (0, 1000, 2048, 4095)],
        ),
        # rescale
        ({"RescaleSlope": -2, "RescaleIntercept": 100}, [1, 1 - 1000 / 4095, 1 - 2048 / 4095, 0]),
        (
            {"RescaleSlope": -1, "RescaleIntercept": 4095, "WindowCenter": 2048, "WindowWidth": 4096},
            [1, 1 - 1000 / 4095, 1 - 2048 / 4095, 0],
        ),
        (
            {"DoseGridScaling": "0.001", "WindowCenter": 2, "WindowWidth": 4, "VOILUTFunction": "LINEAR_EXACT"},
            [0, 0.25, 0.512, 1],
        ),
        # inversion
        ({"PresentationLUTShape": "INVERSE"}, [1, 1 - 1000 / 4095, 1 - 2048 / 4095, 0]),
        ({"PhotometricInterpretation": "MONOCHROME1"}, [1, 1 - 1000 / 4095, 1 - 2048 / 4095, 0]),
        (
            {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},  # the same said twice
            [1, 1 - 1000 / 4095, 1 - 2048 / 4095, 0],
        ),
        (
            {"PhotometricInterpretation": "MONOCHROME1", "VOILUTSequence": [table(ROOT, bits=8)]},
            [1, 129 / 255, 75 / 255, 0],
        ),
        ({"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 2048, "WindowWidth": 1}, [1, 1, 0, 0]),
    ],
)
def test_transforms(dicom, tags, expected):
    assert shown(dicom(V, Modality="DX", **tags)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"WindowCenter": 0, "WindowWidth": 0}, "width 0, below 1"),
        ({"WindowCenter": 0, "WindowWidth": 0.5}, "width 0.5, below 1"),
        ({"WindowCenter": 0, "WindowWidth": -3, "VOILUTFunction": "SIGMOID"}, "width -3, not above 0"),
        ({"WindowCenter": 40}, "half a window"),
        ({"WindowWidth": 40}, "half a window"),
        ({"WindowCenter": 40, "WindowWidth": 400, "VOILUTFunction": "CUBIC"}, "'CUBIC' is not one of LINEAR"),
        ({"VOILUTSequence": [having(LUTDescriptor=[2, 0, 8])]}, "VOI LUT is incomplete"),
    ],
)
def test_a_window_that_cannot_be_needs_one_of_the_view(dicom, tags, words):
    path = dicom(V, Modality="DX", **tags)
    assert words in refused(path)
    assert "give data.window" in refused(path)
    # the window of the view is one of modality values, whatever the file wants
    assert shown(path, View(window=(1000, 4000))) == pytest.approx([0.25, 0.5, 0.762, 1])
    assert shown(path, View(scale="image")) == pytest.approx((V[0] / 4095).tolist())


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"RescaleSlope": 0, "RescaleIntercept": -1024}, "slope is 0"),
        ({"RescaleSlope": 2}, "half a rescale"),
        ({"RescaleIntercept": -1024}, "half a rescale"),
        ({"ModalityLUTSequence": [table([1, 2])], "RescaleSlope": 2, "RescaleIntercept": 0}, "two modality transforms"),
        ({"ModalityLUTSequence": [table([1, 2]), table([1, 2])]}, "two modality transforms"),
        ({"ModalityLUTSequence": [table([1, 300], bits=8)]}, "the entry 300, more than 8 bits"),
        ({"ModalityLUTSequence": [table([4, 4])]}, "shows every value alike"),
        ({"ModalityLUTSequence": [having(LUTDescriptor=[5, 0, 16], LUTData=b"\1\0\2\0")]}, "2 entries instead of 5"),
        ({"PresentationLUTShape": "LIN OD"}, "presentation LUT"),
        ({"PhotometricInterpretation": "CMYK"}, "photometric interpretation 'CMYK'"),
        ({"BitsStored": 20}, "Bits Stored"),
    ],
)
def test_what_contradicts_itself_is_refused_whatever_the_view(dicom, tags, words):
    path = dicom(V, Modality="DX", **tags)
    assert words in refused(path)
    assert words in refused(path, View(window=(1000, 4000)))


def test_the_source_says_which_of_lut_and_window_is_shown(dicom):
    both = dicom(V, "both.dcm", VOILUTSequence=[table(ROOT, bits=8)], WindowCenter=9, WindowWidth=9)
    only = dicom(V, "only.dcm", VOILUTSequence=[table(ROOT, bits=8)])
    curve = dicom(V, "curve.dcm", WindowCenter=9, WindowWidth=9, VOILUTFunction="SIGMOID")
    units = [to_unit(read_pixels(path), View())[1].unit for path in (both, only, curve)]
    preferred = "level of the VOI LUT, which is preferred to the window"
    assert units == [preferred, "level of the VOI LUT", "share of the sigmoid window"]


def test_a_lookup_table_of_signed_values_and_one_of_halves(dicom):
    signed = np.array([[-2048, -3, 0, 2047]], np.int16)
    entries = np.arange(4096)
    path = dicom(signed, Modality="OT", ModalityLUTSequence=[table(entries, first=-2048, bits=12)])
    assert shown(path) == pytest.approx([0, 2045 / 4095, 2048 / 4095, 1])
    path = dicom(signed, Modality="OT", ModalityLUTSequence=[table(entries, first=63488, bits=12)])
    assert shown(path) == pytest.approx([0, 2045 / 4095, 2048 / 4095, 1])
    entries = np.arange(40000)  # more than a signed word can count
    path = dicom(signed, Modality="OT", ModalityLUTSequence=[table(entries, first=-2048, bits=16)])
    assert shown(path) == pytest.approx([v / 65535 for v in (0, 2045, 2048, 4095)])
    # 40000 is a value that unsigned pixels can have, though others are negative
    tags = {"BitsStored": 16, "RescaleSlope": 1, "RescaleIntercept": -1024}
    path = dicom(np.array([[0, 41024, 41026]], np.uint16), **tags, VOILUTSequence=[table([9, 8, 7], 40000, 8)])
    assert shown(path) == pytest.approx([9 / 255, 9 / 255, 7 / 255])
    halves = {"VOILUTSequence": [table(ROOT, bits=8)], "RescaleSlope": 0.5, "RescaleIntercept": 0}
    assert shown(dicom(np.array([[0, 2000]], np.uint16), **halves)) == pytest.approx([0, 126 / 255])
    assert "not whole" in refused(dicom(np.array([[0, 2001]], np.uint16), **halves))


def test_unused_bits_of_a_word_are_no_part_of_its_value(dicom):
    overlay = V | np.array([[0, 0x1000, 0x2000, 0x8000]], np.uint16)
    assert shown(dicom(overlay)) == pytest.approx((V[0] / 4095).tolist(), abs=1e-6)
    # signed 12 bits without extension of the sign: 0x800 is -2048, 0xFFF is -1
    path = dicom(np.array([[0, 2047, 0x800, 0xFFF]], np.uint16), PixelRepresentation=1)
    assert read_pixels(path).values.flatten().tolist() == [0, 2047, -2048, -1]
    # the twelve bits at the top of the word
    top = (V << 4) | np.array([[1, 15, 7, 3]], np.uint16)
    assert shown(dicom(top, HighBit=15)) == pytest.approx((V[0] / 4095).tolist(), abs=1e-6)


FRAMES = np.stack([V, V[:, ::-1]])


def test_functional_groups_of_all_frames(dicom):
    shared = group(
        PixelValueTransformationSequence=having(RescaleSlope=2, RescaleIntercept=-1000, RescaleType="HU"),
        FrameVOILUTSequence=having(WindowCenter=1000, WindowWidth=4000, VOILUTFunction="LINEAR_EXACT"),
    )
    path = dicom(FRAMES, Modality="CT", NumberOfFrames=2, SharedFunctionalGroupsSequence=[shared])
    expected = np.clip((2.0 * V[0] - 1000 + 1000) / 4000, 0, 1)
    assert shown(path, frame=0) == pytest.approx(expected.tolist())
    assert shown(path, frame=1) == pytest.approx(expected[::-1].tolist())
    assert shown(path) == pytest.approx([*expected, *expected[::-1]])
    pixels = read_pixels(path, 0)
    assert (pixels.unit, pixels.step, pixels.values[0, 0, 1]) == ("HU", 2.0, 1000)


def test_functional_groups_of_each_frame(dicom):
    frames = [
        group(
            PixelValueTransformationSequence=having(RescaleSlope=1 + k, RescaleIntercept=0, RescaleType="US"),
            FrameVOILUTSequence=having(WindowCenter=2000, WindowWidth=4000, VOILUTFunction="LINEAR_EXACT"),
        )
        for k in range(2)
    ]
    path = dicom(FRAMES, Modality="MR", NumberOfFrames=2, PerFrameFunctionalGroupsSequence=frames)
    first, second = V[0] / 4000, np.clip(2 * V[0, ::-1] / 4000, 0, 1)
    assert shown(path, frame=0) == pytest.approx(np.clip(first, 0, 1).tolist())
    assert shown(path, frame=1) == pytest.approx(second.tolist())
    assert shown(path) == pytest.approx([*np.clip(first, 0, 1), *second])
    assert read_pixels(path).step is None  # frames of two slopes have no common step
    frames[1].FrameVOILUTSequence[0].WindowWidth = 500
    path = dicom(FRAMES, Modality="MR", NumberOfFrames=2, PerFrameFunctionalGroupsSequence=frames)
    assert "windows of their own: name a frame" in refused(path)
    assert shown(path, frame=1)[1] == pytest.approx(1.0)
    path = dicom(FRAMES, NumberOfFrames=2, PerFrameFunctionalGroupsSequence=frames, RescaleSlope=7, RescaleIntercept=0)
    assert "two rescales" in refused(path)
    path = dicom(FRAMES, NumberOfFrames=2, PerFrameFunctionalGroupsSequence=frames[:1])
    assert "describes 1 of its frames" in refused(path)


def test_a_voi_lut_of_a_frame(dicom):
    shared = group(FrameVOILUTSequence=having(VOILUTSequence=[table(ROOT, bits=8)]))
    path = dicom(FRAMES, NumberOfFrames=2, SharedFunctionalGroupsSequence=[shared])
    assert shown(path, frame=1) == pytest.approx([1, 180 / 255, 126 / 255, 0])


def test_frames_that_are_not_there(dicom):
    with pytest.raises(BrokenImageError, match="has no frame 2, it holds 2"):
        read_pixels(dicom(FRAMES, NumberOfFrames=2), 2)
    with pytest.raises(BrokenImageError, match="has no frame 1, it holds 1"):
        read_pixels(dicom(V), 1)
