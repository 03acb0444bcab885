"""Every image among pydicom's own test files is read equal to pydicom's pipeline, or refused with a reason."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_files
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array
from pydicom.uid import ImplicitVRLittleEndian

from medrobust.data import View
from medrobust.data.files.dicom import CT_RANGE, num_dicom_frames
from medrobust.data.files.kinds import kind_of
from medrobust.data.files.pixels import BrokenImageError
from medrobust.data.files.read import read_pixels
from medrobust.data.images.view import to_unit

# why a file is refused; anything else is a fault
REASONS = (
    "compressed as JPEG", "without pixels", "truncated", "fewer", "less than expected", "unable to decode",
    "not a whole number", "missing required element", "supplemental color palette", "photometric interpretation",
    "a compressed file",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _odd_headers():
    """The files are odd on purpose, and pydicom warns of it."""
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def files() -> list[Path]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = sorted({Path(name).resolve() for name in get_testdata_files()})
    return [path for path in found if path.is_file()]


def flattened(data: Any, frame: int) -> Any:
    """The data set with the transforms of its functional groups at the top, where pydicom looks for them."""
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        groups = data.get(name) or []
        group = groups[min(frame, len(groups) - 1)] if groups else {}
        for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            for element in group[macro][0] if macro in group else ():
                data.add(element)
    return data


def reference(path: Path, frame: int) -> np.ndarray:
    """Modality and VOI of pydicom, over the range of its output: (rows, columns) or (rows, columns, 3)."""
    data = flattened(dcmread(path, force=True), frame)
    if not data.file_meta.get("TransferSyntaxUID"):  # pydicom decodes no data set without a header
        data.file_meta.TransferSyntaxUID = {(True, True): ImplicitVRLittleEndian}[data.original_encoding]
    values = pixel_array(data, index=frame)
    kind = data.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        colors = apply_color_lut(values, data)[..., :3]
        return colors / np.iinfo(colors.dtype).max
    if data.SamplesPerPixel == 3:
        return values / np.iinfo(values.dtype).max
    bits, signed = data.BitsStored, data.PixelRepresentation == 1
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    if "ModalityLUTSequence" in data:
        low, high = 0, 2 ** data.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    elif "RescaleSlope" in data:
        low, high = (float(data.RescaleSlope) * end + float(data.RescaleIntercept) for end in (low, high))
    values = apply_modality_lut(values, data)
    shown = apply_voi_lut(values, data)
    if "VOILUTSequence" in data:
        low, high = 0, 2 ** data.VOILUTSequence[0].LUTDescriptor[2] - 1
    elif "WindowWidth" not in data and data.get("Modality") == "CT" and bits == 16 and signed:
        low, high = CT_RANGE
    unit = np.clip((shown.astype(np.float64) - low) / (high - low), 0, 1)
    return 1 - unit if kind == "MONOCHROME1" else unit


def ours(path: Path, frame: int) -> np.ndarray:
    x = to_unit(read_pixels(path, frame), View())[0].numpy()
    return x.transpose(1, 2, 0) if len(x) == 3 else x[0]


def test_every_file_is_read_as_pydicom_reads_it_or_refused():
    found = files()
    if len(found) < 50:
        pytest.skip("pydicom is installed without its test files")
    counts: Counter[str] = Counter()
    for path in found:
        try:
            if kind_of(path) != "dicom":
                continue
            frames = sorted({0, num_dicom_frames(path) - 1})
        except (BrokenImageError, ValueError):
            frames = [0]
        try:
            shown = [ours(path, frame) for frame in frames]
        except BrokenImageError as error:
            reason = str(error)
            assert "\n" not in reason
            matching = [word for word in REASONS if word.lower() in reason.lower()]
            assert matching, f"{path.name}: {reason}"
            counts[f"refused: {matching[0]}"] += 1
            continue
        for frame, x in zip(frames, shown, strict=True):
            expected = reference(path, frame)
            assert x.shape == expected.shape, path.name
            np.testing.assert_allclose(x, expected, rtol=0, atol=2e-6, err_msg=path.name)
        counts["read equal"] += 1
    assert counts["read equal"] >= 60
    print(dict(counts))
