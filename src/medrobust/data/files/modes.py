"""Pillow's modes to pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import real_valued
from .pixels import BrokenImageError, Pixels


def as_shown(image: Any, bits: int) -> Pixels:
    """What Pillow decodes, for a file of this depth."""
    image.load()
    if image.mode.startswith("I;16"):
        return Pixels(np.asarray(image).astype(np.uint16)[None], bits, 0.0, 65535.0)
    if image.mode in ("I", "F"):
        return real_valued(np.asarray(image)[None])
    if bits > 8:
        raise BrokenImageError(f"{bits} bits of {image.mode}, which is not read: only grey and RGB are")
    if image.mode in ("1", "L", "LA", "La"):
        grey = image.convert("LA") if image.mode == "La" else image.convert("L")
        values = np.asarray(grey).reshape(image.height, image.width, -1)[..., 0]
        bits = 1 if image.mode == "1" else bits
        return Pixels(values[None].copy(), bits, step=255 / (2**bits - 1))
    if image.mode not in ("P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr"):
        raise BrokenImageError(f"a picture of {image.mode} pixels, which is not read: convert it to RGB")
    if image.mode in ("P", "PA", "RGBa"):
        image = image.convert("RGBA")
    return Pixels(np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1)))
