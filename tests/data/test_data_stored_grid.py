"""What "as stored" means: one stored unit over the width shown, and where the stored values lie."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from pydicom.dataset import Dataset

from medrobust.data import ImageSet, Sample, View, open_images
from medrobust.data.files.pixels import Pixels, SourceRange
from medrobust.data.files.read import read_pixels
from medrobust.data.images.view import apply_view, to_unit

RNG = np.random.default_rng(0)
HU = RNG.integers(-300, 400, (12, 12)).astype(np.int16)
CT = {"Modality": "CT", "BitsStored": 16, "RescaleSlope": 1, "RescaleIntercept": 0}


def unit(path, view=None):
    return to_unit(read_pixels(path), view or View())


def lies_on_grid(x: np.ndarray, source: SourceRange) -> bool:
    """Every value between the ends is origin + k * resolution."""
    inside = x[(x > 1e-6) & (x < 1 - 1e-6)].astype(np.float64)
    k = (inside - source.origin) / source.resolution
    return bool(np.abs(k - k.round()).max(initial=0) < 1e-2)


def test_one_hu_of_four_hundred(dicom):
    x, source = unit(dicom(HU, **CT), View(window=(40, 400)))
    assert (source.bits, source.step, source.resolution) == (16, 1.0, 1 / 400)
    assert source.origin == 0.0  # -160 HU, shown as 0, is a whole number
    assert source.levels(1 / 255) == pytest.approx(400 / 255)
    assert source.epsilon_in_units(1 / 255) == pytest.approx(400 / 255)
    assert lies_on_grid(x.numpy(), source)
    torch.testing.assert_close(source.stored(x + 0.3 / 400), source.stored(x), rtol=0, atol=1e-6)  # no stored value
    assert torch.equal((source.stored(x + 0.7 / 400) - x).abs() > 0.9 / 400, x < 1)


@pytest.mark.parametrize("slope", [1.0, 0.5, 2.0, -2.0])
@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("view", [View(), View(window=(31.3, 333)), View(scale="image")])
def test_every_shown_value_is_on_the_grid(dicom, slope, kind, view):
    tags = CT | {"RescaleSlope": slope, "RescaleIntercept": -7.25, "PhotometricInterpretation": kind}
    x, source = unit(dicom(HU, WindowCenter=40, WindowWidth=399.5, **tags), view)
    assert source.inverted == (kind == "MONOCHROME1")
    assert source.low < source.high
    assert source.resolution == pytest.approx(abs(slope) / (source.high - source.low))
    assert 0 <= source.origin <= source.resolution
    assert lies_on_grid(x.numpy(), source)
    values = np.clip((HU * slope - 7.25 - source.low) / (source.high - source.low), 0, 1)
    np.testing.assert_allclose(x[0], 1 - values if source.inverted else values, atol=1e-6)


@pytest.mark.parametrize(
    ("array", "resolution", "bits"), [(HU.astype(np.uint8), 1 / 255, 8), (HU.astype(np.uint16), 1 / 65535, 16)]
)
def test_pictures(put, tmp_path, array, resolution, bits):
    for name in "ab":
        put(f"set/{name}/0.png", array=array)
    images = open_images(f"folder:{tmp_path / 'set'}")
    assert (images.resolution(0), images.origin(0), images.bit_depth(0)) == (resolution, 0.0, bits)
    assert images.source(0).step == 1.0


def test_floating_point_has_no_steps(tmp_path):
    np.save(tmp_path / "x.npy", RNG.random((5, 5)).astype(np.float32))
    x, source = unit(tmp_path / "x.npy")
    assert (source.step, source.resolution, source.origin, source.levels(0.1)) == (None, 0.0, 0.0, None)
    assert source.stored(x) is x
    images = ImageSet.of(torch.rand(4, 1, 5, 5), [0, 1, 0, 1])
    assert (images.resolution(0), images.origin(0)) == (0.0, 0.0)
    eight = ImageSet.of(torch.randint(0, 256, (4, 1, 5, 5)) / 255, [0, 1, 0, 1])
    assert eight.resolution(0) == 1 / 255


def lut(entries: np.ndarray, bits: int) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries) % 65536, 0, bits])
    item.add_new("LUTData", "OW", entries.astype(np.uint16).tobytes())
    return item


def test_tables_and_curves(dicom):
    stored = RNG.integers(0, 4096, (12, 12)).astype(np.uint16)
    steps = np.arange(4096) // 16 * 16  # entries that are multiples of 16
    x, source = unit(dicom(stored, Modality="DX", VOILUTSequence=[lut(steps, 12)]))
    assert (source.step, source.resolution) == (16.0, 16 / 4095)
    assert lies_on_grid(x.numpy(), source)
    x, source = unit(dicom(stored, Modality="DX", ModalityLUTSequence=[lut(steps + 3, 13)]))
    assert (source.step, source.origin) == (16.0, pytest.approx(3 / 8191))
    assert lies_on_grid(x.numpy(), source)
    _, source = unit(dicom(stored, Modality="DX", WindowCenter=9, WindowWidth=9, VOILUTFunction="SIGMOID"))
    assert (source.step, source.unit) == (None, "share of the sigmoid window")
    _, source = unit(dicom(stored, Modality="DX", WindowCenter=2000, WindowWidth=1))
    assert (source.resolution, source.unit) == (1.0, "side of the threshold 1999.5 grey level")


def test_a_resized_image_is_one_that_its_file_can_hold(dicom):
    path = dicom(HU, **CT)
    values, source = apply_view(read_pixels(path), View(7, "grey", window=(40, 400)))
    x = values / 65535
    assert lies_on_grid(x, source)
    np.testing.assert_allclose(source.stored(x), x, atol=1e-5)
    plain, source = apply_view(read_pixels(path), View(7, "grey", window=(40, 100000)))
    assert lies_on_grid(plain, source)  # steps finer than 1/65535 are kept in floating point


def test_mixed_pixels_of_few_levels_have_eight_bits(tmp_path):
    Image.fromarray(RNG.integers(0, 2, (16, 16)).astype(bool)).save(tmp_path / "x.png")
    _, whole = apply_view(read_pixels(tmp_path / "x.png"), View(color="grey"))
    assert (whole.bits, whole.resolution) == (1, 1.0)
    _, small = apply_view(read_pixels(tmp_path / "x.png"), View(7, "grey"))
    assert (small.bits, small.resolution) == (8, 1 / 255)


def test_a_window_on_eight_bits_keeps_its_values(dicom):
    stored = np.arange(256, dtype=np.uint8).reshape(16, 16)
    path = dicom(stored, Modality="US", WindowCenter=128, WindowWidth=101)
    values, source = apply_view(read_pixels(path), View(color="grey"))
    expected = np.clip((stored - 77.5) / 100, 0, 1)
    np.testing.assert_allclose(values[0] / np.iinfo(values.dtype).max, expected, atol=1e-5)
    assert source.resolution == 1 / 100
    assert source.origin == pytest.approx(0.5 / 100)  # 78 is the least stored value that is not black


@pytest.mark.parametrize("inverted", [False, True])
def test_the_extremes_of_a_set_keep_the_grid(inverted):
    def decode(sample: Sample) -> Pixels:
        array = np.arange(100 + 100 * sample.frame, 200 + 100 * sample.frame).reshape(1, 10, 10).astype(np.int16)
        return Pixels(array, 12, 0.0, 4000.0, "HU", inverted=inverted)

    samples = [Sample(str(k), None, k % 2, str(k), "train", frame=k) for k in range(4)]
    images = ImageSet("s", "ab", samples, view=View(color="grey", scale="set"), decode=decode)
    x = torch.stack([images[i][0] for i in range(4)]).double()
    assert (float(x.min()), float(x.max())) == (0.0, 1.0)
    source = images.source(0)
    assert (source.low, source.high) == pytest.approx((100, 499), abs=0.1)
    assert images.resolution(0) == pytest.approx(1 / 399, rel=1e-3)
    k = (x - images.origin(0)) / images.resolution(0)
    assert float((k - k.round()).abs().max()) < 0.05
    assert float(x[0].max() - x[0].min()) == pytest.approx(99 / 399, abs=1e-3)
    assert (float(x[0].max()) > 0.9) == inverted


def test_stored_takes_tensors_and_arrays():
    source = SourceRange(8, 0.0, 255.0)
    array = np.array([0.1, 0.5, 0.999, 1.2])
    expected = np.array([26, 128, 255, 255]) / 255
    np.testing.assert_allclose(source.stored(array), expected)
    np.testing.assert_allclose(source.stored(torch.from_numpy(array)).numpy(), expected)


def test_low_is_never_above_high():
    for make in (lambda: SourceRange(8, 255.0, 0.0), lambda: Pixels(np.zeros((1, 2, 2), np.uint8), 8, 255.0, 0.0)):
        with pytest.raises(ValueError, match="inversion is a flag"):
            make()


def test_the_grid_is_kept_by_the_cache(dicom, tmp_path):
    for k in range(70):
        kind = "MONOCHROME1" if k % 2 else "MONOCHROME2"
        dicom(HU, f"set/{'ab'[k % 2]}/{k}.dcm", **CT, PhotometricInterpretation=kind)
    view = View(8, "grey", window=(40, 400.5))
    images = open_images(f"folder:{tmp_path / 'set'}", view=view)
    assert type(images.store).__name__ == "CachedStore"
    for i in range(70):
        _, source = apply_view(images.decode(images.samples[i]), view)
        assert images.source(i) == source
    assert {images.source(i).inverted for i in range(70)} == {False, True}


def test_images_in_memory_can_be_shown_again():
    x = torch.randint(0, 256, (4, 1, 6, 6), generator=torch.Generator().manual_seed(0)) / 255
    images = ImageSet.of(x, [0, 1, 0, 1])
    again = images.replace(view=View(None, "rgb"))
    torch.testing.assert_close(again[0][0], x[0].expand(3, 6, 6), rtol=0, atol=1e-6)
