"""PNG, JPEG, TIFF, BMP, GIF, WebP and JPEG 2000 through Pillow, at the depth that the file has."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import WHOLE
from .deep_color import deep_orders, read_deep_color, read_deep_grey
from .modes import as_shown
from .pixels import BrokenImageError, Pixels, affordable
from .tiff import read_tiff

# what is known to be read whole; Pillow shows others in 8 bits, or runs another program to read them
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "DIB", "GIF", "WEBP", "JPEG2000", "PPM", "TGA", "PCX", "ICO")
_PAGES = ("TIFF", "GIF", "WEBP", "PNG")  # formats of which the frames are images; those of a JPEG are previews
_ORIENTATION = 274  # the same tag in EXIF and in TIFF
_J2K_SIZE = b"\xff\x4f\xff\x51"  # start of a JPEG 2000 code stream, before its SIZ marker's content


def read_picture(path: Path, frame: int = WHOLE) -> Pixels:
    """One picture, turned as its EXIF orientation says, so that it is what a viewer shows.

    Alpha is dropped, palettes are looked up; gamma and color profiles are not applied.

    Errors: BrokenImageError for a file of several pictures without a frame, or one that Pillow would not show whole.
    """
    from PIL import Image

    # from an open file: Pillow maps a named one into memory, and then scrambles a TIFF that lies on its side
    with open(path, "rb") as file, Image.open(file, formats=FORMATS) as image:
        count = _num_pictures(image)
        if frame == WHOLE and count > 1:
            raise BrokenImageError(f"holds {count} pictures, name one: the column frame of a CSV does")
        if frame >= count:
            raise BrokenImageError(f"has no picture {frame}, it holds {count}")
        if frame > 0:
            image.seek(frame)
        affordable(image.height, image.width)
        if image.format == "TIFF":
            return read_tiff(path, max(frame, 0), image)  # which Pillow itself turns
        pixels = _read_png(path, frame, image) if image.format == "PNG" else _read_other(path, image)
        turn = image.getexif().get(_ORIENTATION, 1)  # a PNG is loaded to find it
    return dataclasses.replace(pixels, values=turned(pixels.values, turn))


def num_pictures(path: Path) -> int:
    """Pictures of a file, as far as its header tells."""
    from PIL import Image

    with Image.open(path, formats=FORMATS) as image:
        return _num_pictures(image)


def _num_pictures(image: Any) -> int:
    return int(getattr(image, "n_frames", 1)) if image.format in _PAGES else 1


def turned(values: np.ndarray, orientation: int) -> np.ndarray:
    """(c, h, w) upright, by the value 1 to 8 of an EXIF orientation tag.

    Example:
        >>> turned(np.array([[[1, 2, 3]]]), 6).tolist()
        [[[1], [2], [3]]]
    """
    if orientation in (5, 6, 7, 8):  # rows and columns are exchanged
        values = values.swapaxes(1, 2)
    if orientation in (2, 3, 6, 7):
        values = values[:, :, ::-1]
    if orientation in (3, 4, 7, 8):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)


def _read_png(path: Path, frame: int, image: Any) -> Pixels:
    with open(path, "rb") as file:
        depth, color = file.read(26)[24:26]
    if depth < 16:
        return as_shown(image, depth if color in (0, 4) else 8)
    if _num_pictures(image) > 1:
        raise BrokenImageError("an animated PNG of 16 bits, which is not read: save its frames")
    if color == 4:
        return Pixels(read_deep_grey(image), 16, 0.0, 65535.0)
    if orders := deep_orders(image):
        return Pixels(read_deep_color(path, frame, orders), 16, 0.0, 65535.0)
    return as_shown(image, depth)


def _read_other(path: Path, image: Any) -> Pixels:
    if image.format != "JPEG2000":
        return as_shown(image, 8)
    with open(path, "rb") as file:
        _, found, size = file.read(1 << 16).partition(_J2K_SIZE)
    if not found:
        raise BrokenImageError("a JPEG 2000 file without an image")
    depths = {size[38 + 3 * k] for k in range(int.from_bytes(size[36:38], "big"))}
    bits = max(depths) + 1  # the highest bit marks signed values
    if bits > (16 if image.mode == "I;16" else 8) or len(depths) > 1:
        several = "several depths" if len(depths) > 1 else f"{bits} bits that Pillow would show in 8"
        raise BrokenImageError(f"JPEG 2000 of {'signed values' if bits > 128 else several}, which is not read")
    if image.mode in ("P", "PA"):
        return as_shown(image, 8)
    values = as_shown(image, min(bits, 8) if image.mode != "I;16" else bits).values
    room = 8 * values.dtype.itemsize  # Pillow has moved the values to the upper bits
    return Pixels(values >> (room - bits), bits, 0.0, float(2**bits - 1))
