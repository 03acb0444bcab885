"""TIFF through Pillow: what it says of depth, sign and order is read from the tags and put right."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import real_valued
from .deep_color import deep_orders, mode_of, read_deep_color, with_mode
from .modes import as_shown
from .pixels import BrokenImageError, Pixels

BITS, PHOTOMETRIC, PLANAR, COLORS, EXTRA, FORMAT = 258, 262, 284, 320, 338, 339
_WHITE_IS_ZERO, _PALETTE, _SEPARATE, _MULTIPLIED, _SIGNED = 0, 3, 2, 1, 2


def read_tiff(path: Path, frame: int, image: Any) -> Pixels:
    """The page at which an opened TIFF is; Pillow itself turns it as its orientation says.

    8-, 12- and 16-bit grey have their full range; signed integers, 32 bits and floating point need a range from the
    view. Photometric MINISWHITE inverts.

    Errors: BrokenImageError for what Pillow would show in 8 bits or with changed colors.
    """
    tags = image.tag_v2
    bits, kind = max(tags.get(BITS, (1,))), max(tags.get(FORMAT, (1,)))
    photometric = tags.get(PHOTOMETRIC)
    if bits > 8 and tags.get(PLANAR, 1) == _SEPARATE and len(tags.get(BITS, ())) > 1:
        raise BrokenImageError("a TIFF of separate planes of more than 8 bits, which is not read: interleave them")
    orders = deep_orders(image)
    if tags.get(EXTRA, (0,))[0] == _MULTIPLIED:
        _refuse_transparent(image)
    if orders:
        return Pixels(read_deep_color(path, frame, orders), 16, 0.0, 65535.0)
    if photometric == _PALETTE:
        return _looked_up(image, tags[COLORS])
    _in_native_order(image)
    if bits == 8 and kind == _SIGNED:
        image.load()
        return real_valued(np.asarray(image).view(np.int8)[None])
    pixels = as_shown(image, bits)
    values = pixels.values
    if image.mode == "I":
        return real_valued(values.astype(np.int16) if bits == 16 else values if kind == _SIGNED else values.view("u4"))
    if image.mode.startswith("I;16"):
        pixels = Pixels(values, bits, 0.0, float(2**bits - 1))
    # Pillow inverts what has 8 bits at most
    return dataclasses.replace(pixels, inverted=photometric == _WHITE_IS_ZERO and image.mode[0] in "IF")


def _in_native_order(image: Any) -> None:
    """libtiff gives signed and floating-point samples in the order of this machine, Pillow takes that of the file."""
    native = {"I;16BS": "I;16S", "I;32BS": "I;32S", "F;32BF": "F;32F"}
    if sys.byteorder == "little" and all(tile[0] == "libtiff" for tile in image.tile):
        image.tile = [with_mode(tile, native.get(mode_of(tile), mode_of(tile))) for tile in image.tile]


def _refuse_transparent(image: Any) -> None:
    """Colors that are stored multiplied by their opacity are those of the picture only where it is opaque."""
    alpha = np.asarray(image.copy())[..., -1]
    if int(alpha.min()) < 255:
        raise BrokenImageError("a TIFF of colors multiplied by their opacity, which is not read: save it without alpha")


def _looked_up(image: Any, colors: Any) -> Pixels:
    """A palette of 16-bit colors; writers fill them from 8 bits by factors 257 or 256."""
    image.load()
    table = np.array(colors, dtype=np.uint16).reshape(3, -1)
    low, high = table & 255, table >> 8
    index = np.asarray(image)
    index = index if index.ndim == 2 else index[..., 0]
    if int(index.max(initial=0)) >= table.shape[1]:
        raise BrokenImageError(f"a color number {int(index.max())} is beyond the {table.shape[1]} of its palette")
    if bool((low == high).all() or (low == 0).all()):
        return Pixels(np.ascontiguousarray(high.astype(np.uint8)[:, index]))
    return Pixels(np.ascontiguousarray(table[:, index]), 16, 0.0, 65535.0)
