"""Color and grey with alpha of 16 bits per channel, which Pillow decodes but shows as 8."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

# how Pillow names the two orders of the bytes of a sample: each unpacks the byte that stands where its high byte would
_ORDERS = {"16B": ("16B", "16L"), "16L": ("16L", "16B")}


def deep_orders(image: Any) -> tuple[str, str] | None:
    """The unpackers of the high and of the low byte of an opened PNG or TIFF; None when it has no 16-bit color."""
    modes = {mode_of(tile) for tile in image.tile}
    if image.mode not in ("RGB", "RGBA", "RGBX") or len(modes) != 1:
        return None
    layout, _, depth = modes.pop().partition(";")
    if not layout.startswith("RGB") or depth[:2] != "16":
        return None
    native = "16L" if sys.byteorder == "little" else "16B"
    high, low = _ORDERS[native if depth == "16N" else depth]
    return f"{layout};{high}", f"{layout};{low}"


def read_deep_color(path: Path, frame: int, orders: tuple[str, str]) -> np.ndarray:
    """The image as uint16 (3, h, w), decoded once for each byte; alpha is dropped. Errors: what Pillow raises."""
    high, low = (_bytes(path, frame, order) for order in orders)
    return np.ascontiguousarray((high.astype(np.uint16) << 8 | low).transpose(2, 0, 1))


def read_deep_grey(image: Any) -> np.ndarray:
    """An opened PNG of grey and alpha with 16 bits each as uint16 (1, h, w): its four bytes are read as four channels.

    Errors: what Pillow raises.
    """
    image._mode = "RGBA"
    image.tile = [with_mode(tile, "RGBA") for tile in image.tile]
    content = np.asarray(image).astype(np.uint16)
    return (content[..., 0] << 8 | content[..., 1])[None]


def _bytes(path: Path, frame: int, order: str) -> np.ndarray:
    from PIL import Image

    with open(path, "rb") as file, Image.open(file) as image:
        if frame > 0:
            image.seek(frame)
        tiles: Any = image.tile
        image.tile = [with_mode(tile, order) for tile in tiles]
        return np.asarray(image)[..., :3].copy()


def mode_of(tile: Any) -> str:
    """The unpacker that Pillow has chosen for a tile."""
    arguments = tile[3]
    return str(arguments if isinstance(arguments, str) else arguments[0])


def with_mode(tile: Any, mode: str) -> Any:
    """The tile with another unpacker."""
    arguments: Any = mode if isinstance(tile[3], str) else (mode, *tile[3][1:])
    return tile._replace(args=arguments) if hasattr(tile, "_replace") else (*tile[:3], arguments)
