"""PBM, PGM and PPM files: Pillow stretches their values to 8 or 16 bits, and color of 16 bits to 8."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from .arrays import WHOLE
from .pixels import BrokenImageError, Pixels, affordable

_TOKEN = re.compile(rb"(?:\s|#[^\r\n]*)*([^\s#]+)")
_CHANNELS = {b"P1": 1, b"P2": 1, b"P3": 3, b"P4": 1, b"P5": 1, b"P6": 3}


def read_netpbm(path: Path, frame: int = WHOLE) -> Pixels:
    """The stored values over the maximum that the header names; bitmaps have 1 as black, as the format says.

    Errors: BrokenImageError for a header that is none, a maximum outside 1..65535, a value above it, a truncated file.
    """
    if frame > 0:
        raise BrokenImageError(f"has no picture {frame}, it holds 1")
    content = path.read_bytes()
    magic, at = content[:2], 2
    numbers = []
    for _ in range(2 if magic in (b"P1", b"P4") else 3):
        match = _TOKEN.match(content, at)
        if match is None or not match[1].isdigit():
            raise BrokenImageError("truncated, or no PGM or PPM: its header has no size")
        numbers.append(int(match[1]))
        at = match.end()
    width, height, top = (*numbers, 1)[:3]
    channels = _CHANNELS[magic]
    affordable(height, width, channels)
    if not (width and height and 1 <= top <= 65535):
        raise BrokenImageError(f"a header of {width} x {height} pixels and maximum {top} is impossible")
    if magic == b"P4":
        packed = _raw(content, at, height * -(-width // 8), np.dtype(np.uint8)).reshape(height, -1)
        values = np.unpackbits(packed, axis=1)[:, :width]
    elif magic in (b"P5", b"P6"):
        values = _raw(content, at, height * width * channels, np.dtype(np.uint8 if top < 256 else ">u2"))
    else:
        values = _plain(content[at:], magic, height * width * channels)
    if int(values.max()) > top:
        raise BrokenImageError(f"a value of {int(values.max())} is above the maximum {top} of its header")
    if magic in (b"P1", b"P4"):
        values = 1 - values
    values = values.astype(np.uint8 if top < 256 else np.uint16)
    planes = np.ascontiguousarray(values.reshape(height, width, channels).transpose(2, 0, 1))
    return Pixels(planes, top.bit_length(), 0.0, float(top))


def _raw(content: bytes, at: int, count: int, dtype: np.dtype) -> np.ndarray:
    if len(content) < at + 1 + count * dtype.itemsize:  # one white space ends the header
        raise BrokenImageError("truncated: it is shorter than its header says")
    return np.frombuffer(content, dtype, count, at + 1)


def _plain(text: bytes, magic: bytes, count: int) -> np.ndarray:
    text = re.sub(rb"#[^\r\n]*", b" ", text)
    words = re.findall(rb"[01]", text) if magic == b"P1" else text.split()
    if len(words) < count:
        raise BrokenImageError("truncated: it is shorter than its header says")
    return np.array(words[:count]).astype(np.int64)
