"""DICOM files to pixels: rescale, window and photometric inversion as the standard's PS3.3 C.11 defines them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .pixels import Pixels
from .volumes import WHOLE

CT_RANGE = (-1024.0, 3071.0)  # 12-bit CT, the convention when 16 signed bits are allocated and no window is given


def is_dicom(path: Path) -> bool:
    """Whether a file has the preamble of PS3.10, or a DICOM suffix without one."""
    with open(path, "rb") as file:
        head = file.read(132)
    return head[128:132] == b"DICM" or (path.suffix.lower() in (".dcm", ".dicom") and len(head) > 0)


def num_dicom_frames(path: Path) -> int:
    """Frames of a DICOM file, from its header."""
    from pydicom import dcmread

    header = dcmread(path, stop_before_pixels=True, specific_tags=["NumberOfFrames"])
    return int(header.get("NumberOfFrames") or 1)


def read_dicom(path: Path, frame: int = WHOLE) -> Pixels:
    """One frame of a DICOM image, or all frames as a volume (1, d, h, w), rescaled to its unit.

    low and high are what the file's first window shows as black and white (center c, width w: c - 0.5 -+ (w - 1) / 2,
    or c -+ w / 2 for LINEAR_EXACT); without a window they are the range that the stored bits can hold, for signed
    16-bit CT -1024..3071 HU. MONOCHROME1 swaps them.

    Errors: anything that pydicom raises; read_pixels makes one line of it.
    """
    from monai.data.image_reader import PydicomReader
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut

    data: Any = PydicomReader().read(path)
    if "PixelData" not in data:
        raise ValueError("DICOM file without pixels")
    values = data.pixel_array
    frames = int(data.get("NumberOfFrames") or 1)
    if frames > 1 and frame != WHOLE:
        values = values[frame]
    color = int(data.get("SamplesPerPixel") or 1) == 3
    if color and values.ndim == 4:
        raise ValueError(f"{frames} color frames, name one: the column frame of a CSV does")
    kind = str(data.get("PhotometricInterpretation", "MONOCHROME2"))
    if kind == "PALETTE COLOR":
        values = apply_color_lut(values, data)
        top = 65535.0 if values.dtype == np.uint16 else 255.0
        return Pixels(values.transpose(2, 0, 1), 16 if top > 255 else 8, 0.0, top)
    bits = int(data.get("BitsStored", 8))
    if color:  # pydicom has already made RGB of YBR
        return Pixels(values.transpose(2, 0, 1), bits, 0.0, float(2**bits - 1))
    values = np.asarray(apply_modality_lut(values, data), dtype=np.float32)
    low, high = _window(data) or _stored_range(data, bits)
    if kind == "MONOCHROME1":
        low, high = high, low
    unit = str(data.get("RescaleType") or ("HU" if data.get("Modality") == "CT" else "grey level"))
    return Pixels(values[None], bits, low, high, unit)


def _window(data: Any) -> tuple[float, float] | None:
    if data.get("WindowCenter") in (None, "") or data.get("WindowWidth") in (None, ""):
        return None
    center, width = _first(data.WindowCenter), _first(data.WindowWidth)
    if data.get("VOILUTFunction") == "LINEAR_EXACT":
        return center - width / 2, center + width / 2
    return center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2


def _first(value: Any) -> float:
    return float(value[0] if hasattr(value, "__getitem__") and not isinstance(value, str) else value)


def _stored_range(data: Any, bits: int) -> tuple[float, float]:
    signed = int(data.get("PixelRepresentation", 0)) == 1
    if signed and bits == 16 and data.get("Modality") == "CT":
        return CT_RANGE
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    slope, intercept = float(data.get("RescaleSlope") or 1), float(data.get("RescaleIntercept") or 0)
    return least * slope + intercept, most * slope + intercept
