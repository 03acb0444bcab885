"""Files to pixels: PNG, JPEG, TIFF, PGM, BMP through Pillow; DICOM and NIfTI through MONAI; NumPy arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from .deep_color import deep_orders, read_deep_color
from .dicom import is_dicom, num_dicom_frames, read_dicom
from .pixels import BrokenImageError, Pixels
from .volumes import ARRAY_SUFFIXES, NIFTI_SUFFIXES, WHOLE, read_array, read_nifti, real_valued


def read_pixels(path: Path, frame: int = WHOLE) -> Pixels:
    """Decode one image, one frame of it, or a whole volume; the content decides the format, not the name.

    The result is grey (1, h, w), RGB (3, h, w) or a volume (1, d, h, w). 8-bit values keep 0..255, 16-bit ones
    0..65535. Alpha is dropped, palettes are looked up.

    Errors: BrokenImageError when the file is empty, truncated, missing or no image; UserError without a package.
    """
    try:
        if path.name.lower().endswith(NIFTI_SUFFIXES):
            return read_nifti(path, frame)
        if path.suffix.lower() in ARRAY_SUFFIXES:
            return read_array(path, frame)
        if is_dicom(path):
            return read_dicom(path, frame)
        return _read_pillow(path, frame)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise BrokenImageError("no such file") from error
    except Exception as error:  # decoders raise anything from SyntaxError to struct.error on damaged input
        raise BrokenImageError(_reason(path, error)) from error


def num_frames(path: Path) -> int:
    """Frames of a DICOM or TIFF file that holds planes one after the other, from its header; 1 for all else."""
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            from PIL import Image

            with Image.open(path) as image:
                return int(getattr(image, "n_frames", 1))
        return num_dicom_frames(path) if path.suffix.lower() in (".dcm", ".dicom") else 1
    except Exception:  # a damaged header is reported when the file is decoded
        return 1


def _reason(path: Path, error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if path.stat().st_size == 0:
        return "empty file"
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    text = str(error).split("\n")[0].strip() or type(error).__name__
    return text.replace(str(path), path.name)


def _read_pillow(path: Path, frame: int) -> Pixels:
    from PIL import Image

    with Image.open(path) as image:
        if frame > 0:
            image.seek(frame)
        if orders := deep_orders(image):
            return Pixels(read_deep_color(path, frame, orders), 16, 0.0, 65535.0)
        depth = _netpbm_depth(path) if image.format == "PPM" else None
        image.load()
        if image.mode.startswith("I;16") or (image.mode == "I" and depth is not None):
            return Pixels(np.asarray(image).astype(np.uint16)[None], depth or 16, 0.0, 65535.0)
        if image.mode in ("I", "F"):
            return real_valued(np.asarray(image)[None])
        if image.mode in ("1", "L", "LA"):
            return Pixels(np.asarray(image.convert("L"))[None], min(depth or 8, 8))
        return Pixels(np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1)))


def _netpbm_depth(path: Path) -> int:
    """Bits of a PGM or PPM, from its maximum value; Pillow stretches the values to 8 or 16 bits."""
    with open(path, "rb") as file:
        head = file.read(512)
    lines = [line.split(b"#")[0] for line in head.split(b"\n")]
    words: list[Any] = b" ".join(lines).split()
    return int(words[3]).bit_length() if words[0] in (b"P2", b"P3", b"P5", b"P6") else 8
