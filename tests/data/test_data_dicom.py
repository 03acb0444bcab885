"""DICOM files made here, with rescale, windows, inversion, frames and color."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from medrobust.data import View
from medrobust.data.files.pixels import BrokenImageError
from medrobust.data.files.read import read_pixels
from medrobust.data.images.view import to_unit

STORED = np.arange(24, dtype=np.uint16).reshape(4, 6) * 170  # 0 .. 3910, 12 bits


def unit(path: Path, view: View | None = None, frame: int = 0) -> torch.Tensor:
    return to_unit(read_pixels(path, frame), view or View())[0]


def close(x: torch.Tensor, expected: np.ndarray) -> None:
    torch.testing.assert_close(x[0], torch.from_numpy(expected.astype(np.float32)), rtol=0, atol=1e-6)


def test_plain_values_over_what_the_stored_bits_hold(dicom):
    path = dicom(STORED)
    assert read_pixels(path).bits == 12
    close(unit(path), STORED / 4095)


def test_ct_without_window_is_its_stored_range_in_hu(dicom):
    path = dicom(STORED, Modality="CT", RescaleSlope=1, RescaleIntercept=-1024)
    pixels = read_pixels(path)
    assert (pixels.low, pixels.high, pixels.unit) == (-1024.0, 3071.0, "HU")
    np.testing.assert_array_equal(pixels.values[0], STORED.astype(np.float32) - 1024)
    close(unit(path), STORED / 4095)


def test_signed_ct_of_16_bits_uses_the_12_bit_range(dicom):
    values = STORED.astype(np.int16) - 1024
    pixels = read_pixels(dicom(values, Modality="CT", BitsStored=16))
    assert (pixels.low, pixels.high) == (-1024.0, 3071.0)


def test_window_of_the_file(dicom):
    path = dicom(STORED, Modality="CT", RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=40, WindowWidth=401)
    hu = STORED * 2.0 - 1000
    close(unit(path), np.clip((hu - (40 - 0.5 - 200)) / 400, 0, 1))


def test_first_of_several_windows_and_linear_exact(dicom):
    path = dicom(STORED, WindowCenter=[1000, 5], WindowWidth=[500, 6], VOILUTFunction="LINEAR_EXACT")
    close(unit(path), np.clip((STORED.astype(float) - 750) / 500, 0, 1))


def test_window_given_wins(dicom):
    path = dicom(STORED, Modality="CT", RescaleIntercept=-1000, RescaleSlope=1, WindowCenter=40, WindowWidth=400)
    close(unit(path, View(window=(-600, 1500))), np.clip((STORED.astype(float) - 1000 + 1350) / 1500, 0, 1))


def test_monochrome1_is_inverted_with_and_without_window(dicom):
    path = dicom(STORED, PhotometricInterpretation="MONOCHROME1")
    close(unit(path), 1 - STORED / 4095)
    close(unit(path, View(window=(1000, 500))), 1 - np.clip((STORED - 750.0) / 500, 0, 1))
    close(unit(path, View(scale="image")), 1 - STORED / STORED.max())


def test_frames(dicom):
    frames = np.stack([STORED, STORED[::-1]])
    path = dicom(frames, NumberOfFrames=2)
    close(unit(path, frame=0), STORED / 4095)
    close(unit(path, frame=1), STORED[::-1] / 4095)


def test_color(dicom):
    color = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    path = dicom(color)
    np.testing.assert_array_equal(read_pixels(path).values, color.transpose(2, 0, 1))


def test_without_pixels_and_truncated(dicom):
    path = dicom(STORED)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BrokenImageError):
        read_pixels(path)
    path.write_bytes(b"\0" * 128 + b"DICM")
    with pytest.raises(BrokenImageError):
        read_pixels(path)
