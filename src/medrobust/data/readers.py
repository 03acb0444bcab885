"""Files to pixels: PNG, JPEG, TIFF, PGM, BMP through Pillow, DICOM through MONAI and pydicom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .dicom import is_dicom, read_dicom
from .pixels import BrokenImageError, Pixels

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pgm", ".ppm", ".bmp", ".dcm", ".dicom"})


def read_pixels(path: Path, frame: int = 0) -> Pixels:
    """Decode one image; the content decides the format, not the name.

    Gray (1, h, w) or RGB (3, h, w). 8-bit values keep 0..255, 16-bit gray 0..65535. Alpha is dropped, palettes are
    looked up. 16-bit RGB PNG is read as 8 bits, which is what Pillow decodes.

    Errors: BrokenImageError when the file is empty, truncated, missing or no image.
    """
    try:
        if is_dicom(path):
            return read_dicom(path, frame)
        return _read_pillow(path, frame)
    except FileNotFoundError as error:
        raise BrokenImageError("no such file") from error
    except Exception as error:  # decoders raise anything from SyntaxError to struct.error on damaged input
        raise BrokenImageError(_reason(path, error)) from error


def _reason(path: Path, error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "empty file" if path.stat().st_size == 0 else "not an image"
    text = str(error).split("\n")[0].strip() or type(error).__name__
    return text.replace(str(path), path.name)


def _read_pillow(path: Path, frame: int) -> Pixels:
    from PIL import Image

    with Image.open(path) as image:
        if frame:
            image.seek(frame)
        depth = _netpbm_depth(path) if image.format == "PPM" else None
        image.load()
        if image.mode.startswith("I;16") or (image.mode == "I" and depth is not None):
            return Pixels(np.asarray(image).astype(np.uint16)[None], depth or 16, 0.0, 65535.0)
        if image.mode in ("I", "F"):
            return _real_valued(np.asarray(image)[None])
        if image.mode in ("1", "L", "LA"):
            return Pixels(np.asarray(image.convert("L"))[None], min(depth or 8, 8))
        return Pixels(np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1)))


def _real_valued(values: np.ndarray) -> Pixels:
    """32-bit values: a range inside [0, 1] is taken as it is, any other must be given by the view."""
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError("NaN or infinite pixels")
    unit = values.min() >= 0.0 and values.max() <= 1.0
    return Pixels(values, 16, 0.0 if unit else None, 1.0 if unit else None, "value")


def _netpbm_depth(path: Path) -> int:
    """Bits of a PGM or PPM, from its maximum value; Pillow stretches the values to 8 or 16 bits."""
    with open(path, "rb") as file:
        head = file.read(512)
    lines = [line.split(b"#")[0] for line in head.split(b"\n")]
    words: list[Any] = b" ".join(lines).split()
    return int(words[3]).bit_length() if words[0] in (b"P2", b"P3", b"P5", b"P6") else 8
