"""16-bit color from files that the test writes byte by byte: Pillow cannot write them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from medrobust.data import View
from medrobust.data.files.pixels import BrokenImageError
from medrobust.data.files.read import read_pixels
from medrobust.data.images.view import apply_view

COLORS = np.random.default_rng(0).integers(0, 65536, (40, 31, 4)).astype(np.uint16)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(array: np.ndarray) -> bytes:
    """A PNG whose rows use the five filters in turn."""
    height, width, channels = array.shape
    step, rows = 2 * channels, array.astype(">u2").reshape(height, -1).view(np.uint8).astype(int)
    above, content = np.zeros(rows.shape[1], int), b""
    for y, row in enumerate(rows):
        left, corner = (np.concatenate([np.zeros(step, int), line[:-step]]) for line in (row, above))
        distances = np.abs([above - corner, left - corner, left + above - 2 * corner])
        paeth = np.choose(distances.argmin(axis=0), [left, above, corner])
        guess = [np.zeros_like(row), left, above, (left + above) // 2, paeth][y % 5]
        content += bytes([y % 5]) + ((row - guess) % 256).astype(np.uint8).tobytes()
        above = row
    head = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(content)) + chunk(b"IEND", b"")


def tiff(array: np.ndarray, order: str, compressed: bool) -> bytes:
    """A TIFF of one strip, bytes in the order "<" or ">", plain or deflated."""
    height, width, channels = array.shape
    content = array.astype(f"{order}u2").tobytes()
    content = zlib.compress(content) if compressed else content
    short, long = 3, 4
    count = 11 if channels == 4 else 10
    after = 8 + 2 + 12 * count + 4
    values = {
        256: (long, width), 257: (long, height), 258: (short, after), 259: (short, 8 if compressed else 1),
        262: (short, 2), 273: (long, after + 2 * channels), 277: (short, channels), 278: (long, height),
        279: (long, len(content)), 284: (short, 1),
    }  # fmt: skip
    values |= {338: (short, 2)} if channels == 4 else {}
    out = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, count)
    for tag, (kind, value) in values.items():
        out += struct.pack(f"{order}HHI", tag, kind, channels if tag == 258 else 1)
        out += struct.pack(f"{order}HH", value, 0) if kind == short and tag != 258 else struct.pack(f"{order}I", value)
    return out + struct.pack(f"{order}I{channels}H", 0, *[16] * channels) + content


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("kind", ["png", "<", "<deflate", ">", ">deflate"])
def test_every_bit_of_a_deep_color_is_read(tmp_path: Path, kind: str, channels: int):
    array = COLORS[..., :channels]
    path = tmp_path / ("x.png" if kind == "png" else "x.tif")
    path.write_bytes(png(array) if kind == "png" else tiff(array, kind[0], kind.endswith("deflate")))
    pixels = read_pixels(path)
    assert (pixels.bits, pixels.low, pixels.high) == (16, 0.0, 65535.0)
    np.testing.assert_array_equal(pixels.values, array[..., :3].transpose(2, 0, 1))
    shown, source = apply_view(pixels, View())
    assert (shown.dtype, source.bits) == (np.uint16, 16)
    np.testing.assert_array_equal(shown, pixels.values)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BrokenImageError):
        read_pixels(path)
