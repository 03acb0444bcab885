"""NumPy files to pixels; their headers are believed only as far as the file is long."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from .pixels import BrokenImageError, Pixels, affordable

WHOLE = -1  # frame number that stands for the whole file
THIN = 16  # three planes of at least so many rows and columns may as well be three colors
_FACTS = ("low", "high", "bits", "unit")


def read_npy(path: Path, frame: int = WHOLE) -> Pixels:
    """The array of a .npy file, see as_pixels."""
    with open(path, "rb") as file:
        _check(file, path.stat().st_size)
    return as_pixels(np.load(path, allow_pickle=False), frame)


def read_npz(path: Path, frame: int = WHOLE) -> Pixels:
    """`image`, or the only array, of a .npz, which may say low, high, bits and unit of its values; see as_pixels."""
    check_npz(path)
    with np.load(path, allow_pickle=False) as loaded:
        facts = {key: loaded[key].item() for key in _FACTS if key in loaded}
        arrays = [key for key in loaded if key not in facts]
        key = "image" if "image" in arrays else arrays[0] if len(arrays) == 1 else None
        if key is None:
            raise ValueError(f"no array 'image' among {', '.join(arrays) or 'none'}")
        return as_pixels(loaded[key], frame, facts)


def check_npz(path: Path) -> None:
    """Errors: BrokenImageError when an array is as large as no image, or larger than its part of the file."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.filename.endswith(".npy"):
                with archive.open(member) as file:
                    _check(file, member.file_size)


def _check(file: IO[bytes], size: int) -> None:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    affordable(*shape)
    if not dtype.hasobject and math.prod(shape) * dtype.itemsize > size - file.tell():
        raise BrokenImageError(f"truncated: its header promises {shape} values of {dtype}")


def as_pixels(values: np.ndarray, frame: int = WHOLE, facts: dict[str, Any] | None = None) -> Pixels:
    """An array (h, w), (h, w, 3), (d, h, w) or (1, d, h, w) as pixels; `frame` picks a plane along the first axis.

    Args:
        values: 8- and 16-bit unsigned integers have their full range, bool is 0 and 1; all others must lie in [0, 1],
            or the view gives their range.
        frame: a plane, or the whole array.
        facts: low, high, bits and unit of the values where they are known.

    Errors: ValueError for another shape, or one that can be read in two ways.
    """
    if values.dtype.kind not in "biuf":
        raise ValueError(f"an array of {values.dtype}, not of numbers")
    if values.ndim == 4 and values.shape[0] == 1:
        values = values[0]
    elif values.ndim == 3 and frame == WHOLE and values.shape[0] == 3 and min(values.shape[1:]) >= THIN:
        raise ValueError(f"{values.shape} is a color plane or a volume: store (h, w, 3) or (1, 3, h, w)")
    if 0 in values.shape:
        raise ValueError(f"an array of shape {values.shape}, without values")
    if frame != WHOLE and values.ndim >= 3:
        values = values[frame]
    elif frame > 0:
        raise ValueError(f"has no plane {frame}, it is one plane")
    if values.ndim == 3 and values.shape[-1] in (3, 4):
        values = np.ascontiguousarray(values[..., :3].transpose(2, 0, 1))
    elif values.ndim in (2, 3):
        values = values[None]
    else:
        raise ValueError(f"array of shape {values.shape}, not a plane, a color plane or a volume")
    if values.dtype == bool:
        return Pixels(values.astype(np.uint8) * np.uint8(255), 8, step=255.0)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if facts and "low" in facts and "high" in facts:
        bits = int(facts.get("bits", 16 if values.dtype.itemsize > 1 else 8))
        low, high = float(facts["low"]), float(facts["high"])
        if not (math.isfinite(low) and math.isfinite(high) and low < high and 1 <= bits <= 64):
            raise ValueError(f"low {low:g}, high {high:g} and bits {bits} are no range of values")
        return Pixels(values, bits, low, high, str(facts.get("unit", "value")))
    if values.dtype in (np.uint8, np.uint16):
        return Pixels(values, values.dtype.itemsize * 8, 0.0, float(np.iinfo(values.dtype).max))
    return real_valued(values)


def real_valued(values: np.ndarray, bits: int = 16, *, step: float | None = None, offset: float = 0.0) -> Pixels:
    """Values without a stated range: inside [0, 1] they are taken as they are, else the view must give the range.

    Errors: ValueError for pixels that are not finite.
    """
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError("NaN or infinite pixels")
    unit = values.min() >= 0 and values.max() <= 1
    low, high = (0.0, 1.0) if unit else (None, None)
    return Pixels(values, bits, low, high, "value", step if step is not None else "auto", offset)
