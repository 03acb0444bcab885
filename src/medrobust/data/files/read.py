"""Files to pixels: pictures through Pillow, DICOM through pydicom, NIfTI through nibabel, NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...errors import UserError
from .arrays import WHOLE, read_npy, read_npz
from .dicom import num_dicom_frames, read_dicom
from .kinds import kind_of, read_head
from .netpbm import read_netpbm
from .pictures import num_pictures, read_picture
from .pixels import BrokenImageError, Pixels
from .volumes import read_nifti

READERS: dict[str, Callable[[Path, int], Pixels]] = {
    "dicom": read_dicom,
    "netpbm": read_netpbm,
    "nifti": read_nifti,
    "npy": read_npy,
    "npz": read_npz,
    "other": read_picture,
    "tiff": read_picture,
}


def read_pixels(path: Path, frame: int = WHOLE) -> Pixels:
    """Decode one image, one frame of it, or a whole volume; the content decides the format, not the name.

    The result is grey (1, h, w), RGB (3, h, w) or a volume (1, d, h, w). 8-bit values keep 0..255, 16-bit ones
    0..65535. Alpha is dropped, palettes are looked up, and pictures are turned as their EXIF orientation says.

    Errors: BrokenImageError when the file is empty, truncated, missing, no image, or cannot be shown as it is meant;
    UserError without a package.
    """
    try:
        return READERS[kind_of(path)](path, frame)
    except (UserError, BrokenImageError):
        raise
    except Exception as error:  # decoders raise anything from SyntaxError to struct.error on damaged input
        raise BrokenImageError(_reason(path, error)) from error


def num_frames(path: Path) -> int:
    """Images that a file of planes one after the other holds (DICOM, TIFF, GIF), from its header; 1 for all else."""
    try:
        kind = kind_of(path)
        if kind == "dicom":
            return num_dicom_frames(path)
        if kind not in ("tiff", "other") or _is_single(read_head(path)):
            return 1
        return num_pictures(path)
    except Exception:  # a damaged header is reported when the file is decoded
        return 1


def _is_single(head: bytes) -> bool:
    """A JPEG, or a PNG whose pixels begin without an animation before them: told without opening it as a picture."""
    return head.startswith(b"\xff\xd8") or (head.startswith(b"\x89PNG") and b"IDAT" in head and b"acTL" not in head)


def _reason(path: Path, error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        known = kind_of(path) == "tiff"
        return "a TIFF of a kind that is not read, or a damaged one" if known else "not an image"
    if isinstance(error, MemoryError):
        return "needs more memory than there is"
    lines = str(error).split("\n")
    text = " ".join(line.strip() for line in lines[: 2 if lines[0].endswith(":") else 1]) or type(error).__name__
    return text.replace(str(path), path.name)
