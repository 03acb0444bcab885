"""PNG, JPEG, JPEG 2000, PNM and GIF of every kind, written byte by byte where no library writes them."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_files
from pydicom.encaps import generate_frames
from pydicom.pixels import pixel_array

from medrobust.data import View, open_images
from medrobust.data.files.pixels import BrokenImageError
from medrobust.data.files.read import num_frames, read_pixels
from medrobust.data.images.view import apply_view, to_unit

RNG = np.random.default_rng(0)
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def packed(samples: np.ndarray, depth: int) -> bytes:
    """Rows of samples (h, w * channels) of 1 to 16 bits, each after a filter byte of 0."""
    out = b""
    for row in samples:
        if depth == 16:
            out += b"\0" + row.astype(">u2").tobytes()
        elif depth == 8:
            out += b"\0" + row.astype(np.uint8).tobytes()
        else:
            bits = (row[:, None].astype(int) >> np.arange(depth - 1, -1, -1)) & 1
            out += b"\0" + np.packbits(bits.astype(np.uint8)).tobytes()
    return out


def png(array: np.ndarray, depth: int, color: int, interlaced: bool = False, extra: bytes = b"") -> bytes:
    height, width = array.shape[:2]
    steps = PASSES if interlaced else ((0, 0, 1, 1),)
    parts = [array[top::down, left::right] for top, left, down, right in steps]
    content = b"".join(packed(part.reshape(len(part), -1), depth) for part in parts if part.size)
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlaced))
    end = chunk(b"IDAT", zlib.compress(content)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + end


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(
    ("depth", "color"),
    [
        (1, GREY),
        (2, GREY),
        (4, GREY),
        *((depth, color) for depth in (8, 16) for color in (GREY, RGB, GREY_ALPHA, RGB_ALPHA)),
    ],
)
def test_png_of_every_depth(tmp_path: Path, depth: int, color: int, interlaced: bool):
    channels = {GREY: 1, RGB: 3, GREY_ALPHA: 2, RGB_ALPHA: 4}[color]
    array = RNG.integers(0, 2**depth, (13, 11, channels))
    (tmp_path / "x.png").write_bytes(png(array, depth, color, interlaced))
    pixels = read_pixels(tmp_path / "x.png")
    top = 65535 if depth == 16 else 255
    shown = array[..., : 1 if color in (GREY, GREY_ALPHA) else 3].transpose(2, 0, 1)
    np.testing.assert_array_equal(pixels.values, shown * (top // (2**depth - 1)))
    assert pixels.values.dtype == (np.uint16 if depth == 16 else np.uint8)
    assert (pixels.bits, pixels.high) == (depth, float(top))
    x, source = to_unit(pixels, View())
    np.testing.assert_allclose(x, shown / (2**depth - 1), atol=1e-7)
    assert (source.resolution, source.origin) == (pytest.approx(1 / (2**depth - 1)), 0.0)
    values, _ = apply_view(pixels, View(color="grey" if len(shown) == 1 else "rgb"))
    np.testing.assert_array_equal(values, pixels.values)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_png_palettes(tmp_path, depth):
    colors = RNG.integers(0, 256, (2**depth, 3)).astype(np.uint8)
    index = RNG.integers(0, 2**depth, (13, 11, 1))
    extra = chunk(b"PLTE", colors.tobytes()) + chunk(b"tRNS", bytes([0, 128]))
    (tmp_path / "x.png").write_bytes(png(index, depth, PALETTE, extra=extra))
    np.testing.assert_array_equal(read_pixels(tmp_path / "x.png").values, colors[index[..., 0]].transpose(2, 0, 1))


@pytest.mark.parametrize(("depth", "color"), [(8, GREY), (16, GREY), (8, RGB), (16, RGB)])
def test_a_transparent_color_is_a_color(tmp_path, depth, color):
    channels = 1 if color == GREY else 3
    array = RNG.integers(0, 2**depth, (13, 11, channels))
    extra = chunk(b"tRNS", struct.pack(f">{channels}H", *array[0, 0]))
    (tmp_path / "x.png").write_bytes(png(array, depth, color, extra=extra))
    np.testing.assert_array_equal(read_pixels(tmp_path / "x.png").values, array.transpose(2, 0, 1))


UPRIGHT = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
# how a file with this tag stores the upright picture: EXIF 2.32, table 6 (0th row, 0th column)
STORED = {
    1: UPRIGHT, 2: UPRIGHT[:, ::-1], 3: UPRIGHT[::-1, ::-1], 4: UPRIGHT[::-1],
    5: UPRIGHT.T, 6: UPRIGHT.T[::-1], 7: UPRIGHT.T[::-1, ::-1], 8: UPRIGHT.T[:, ::-1],
}  # fmt: skip


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["png", "png16", "rgb16.png", "webp", "tif", "jpg"])
def test_pictures_are_turned_as_a_viewer_turns_them(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"x.{kind}"
    stored, expected = np.ascontiguousarray(STORED[orientation]), UPRIGHT[None]
    if kind == "png16":
        stored, expected = stored.astype(np.uint16) * 257, expected.astype(np.uint16) * 257
        Image.fromarray(stored).save(path, format="png", exif=exif)
    elif kind == "rgb16.png":
        deep = np.repeat(stored[..., None].astype(np.uint16) * 257, 3, axis=2)
        body = exif.tobytes().removeprefix(b"Exif\0\0")
        path.write_bytes(png(deep, 16, RGB, extra=chunk(b"eXIf", body)))
        expected = np.repeat(expected.astype(np.uint16) * 257, 3, axis=0)
    elif kind == "jpg":
        big = np.kron(stored, np.ones((8, 8), np.uint8))
        Image.fromarray(big).save(path, quality=100, exif=exif)
        found = read_pixels(path).values[:, 4::8, 4::8]
        assert np.abs(found.astype(int) - expected).max() <= 1
        return
    elif kind == "webp":
        Image.fromarray(stored).convert("RGB").save(path, lossless=True, exif=exif)
        expected = np.repeat(expected, 3, axis=0)
    else:
        Image.fromarray(stored).save(path, exif=exif)
    np.testing.assert_array_equal(read_pixels(path).values, expected)


def test_jpeg_2000(tmp_path):
    deep = RNG.integers(0, 65536, (40, 30)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.jp2", irreversible=False)
    pixels = read_pixels(tmp_path / "deep.jp2")
    assert (pixels.bits, pixels.high) == (16, 65535.0)
    np.testing.assert_array_equal(pixels.values[0], deep)
    color = RNG.integers(0, 256, (40, 30, 3)).astype(np.uint8)
    Image.fromarray(color).save(tmp_path / "c.jp2", irreversible=False)
    np.testing.assert_array_equal(read_pixels(tmp_path / "c.jp2").values, color.transpose(2, 0, 1))


def test_jpeg_2000_of_13_bits(tmp_path):
    """A code stream out of a DICOM file of pydicom's tests: Pillow moves its values to the upper bits of the word."""
    names = get_testdata_files("J2K_pixelrep_mismatch.dcm")
    if not names:
        pytest.skip("pydicom is installed without its test files")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = dcmread(names[0])
        stored = pixel_array(data)  # which are signed where the stream is not
    (tmp_path / "x").write_bytes(next(generate_frames(data.PixelData)))
    pixels = read_pixels(tmp_path / "x")
    assert (pixels.bits, pixels.high) == (13, 8191.0)
    np.testing.assert_array_equal(pixels.values[0], stored.astype(int) % 8192)


def j2k_header(depths: list[int]) -> bytes:
    """The start of a code stream whose components have these depth bytes."""
    parts = b"".join(bytes([depth, 1, 1]) for depth in depths)
    size = struct.pack(">HHIIIIIIIIH", 38 + len(parts), 0, 8, 8, 0, 0, 8, 8, 0, 0, len(depths)) + parts
    return b"\xff\x4f\xff\x51" + size + b"\xff\xd9"


@pytest.mark.parametrize(
    ("depths", "words"),
    [([0x80 | 15], "signed"), ([15, 15, 15], "16 bits that Pillow would show in 8"), ([7, 7, 9], "several depths")],
)
def test_jpeg_2000_that_pillow_shows_wrong(tmp_path, depths, words):
    (tmp_path / "x.j2k").write_bytes(j2k_header(depths))
    with pytest.raises(BrokenImageError, match=words):
        read_pixels(tmp_path / "x.j2k")


@pytest.mark.parametrize("top", [1, 15, 100, 255, 1000, 4095, 65535])
@pytest.mark.parametrize("magic", ["P2", "P3", "P5", "P6"])
def test_pnm_of_every_maximum(tmp_path, magic, top):
    channels = 3 if magic in ("P3", "P6") else 1
    values = RNG.integers(0, top + 1, (5, 7, channels))
    values[0, 0] = top
    head = f"{magic}\n# a comment\n7 5\n{top}\n".encode()
    plain = " ".join(map(str, values.flatten())).encode()
    raw = values.astype(">u2" if top > 255 else "u1").tobytes()
    (tmp_path / "x").write_bytes(head + (plain if magic in ("P2", "P3") else raw))
    pixels = read_pixels(tmp_path / "x")
    assert (pixels.bits, pixels.high) == (top.bit_length(), float(top))
    np.testing.assert_array_equal(pixels.values, values.transpose(2, 0, 1))
    (tmp_path / "x").write_bytes((head + raw)[:-1] if magic in ("P5", "P6") else head + plain[:-9].rsplit(b" ", 1)[0])
    with pytest.raises(BrokenImageError, match="truncated"):
        read_pixels(tmp_path / "x")


def test_bitmaps_have_1_as_black(tmp_path):
    bits = RNG.integers(0, 2, (5, 11)).astype(np.uint8)
    (tmp_path / "plain").write_bytes(b"P1\n11 5\n" + "".join(map(str, bits.flatten())).encode())
    (tmp_path / "raw").write_bytes(b"P4\n11 5\n" + np.packbits(bits, axis=1).tobytes())
    for name in ("plain", "raw"):
        pixels = read_pixels(tmp_path / name)
        np.testing.assert_array_equal(to_unit(pixels, View())[0][0], 1 - bits)
        assert pixels.bits == 1


def test_frames_of_an_animation_are_images(tmp_path, put):
    frames = [Image.fromarray(np.full((8, 8), 50 * k, np.uint8)) for k in range(1, 4)]
    for name in ("anim.gif", "anim.png", "anim.tif", "anim.webp"):
        (tmp_path / "a").mkdir(exist_ok=True)
        path = tmp_path / "a" / name
        frames[0].save(path, save_all=True, append_images=frames[1:], **({"lossless": True} if "webp" in name else {}))
        assert num_frames(path) == 3
        assert [int(read_pixels(path, k).values.mean()) for k in range(3)] == [50, 100, 150]
        with pytest.raises(BrokenImageError, match="holds 3 pictures, name one"):
            read_pixels(path)
        with pytest.raises(BrokenImageError, match="has no picture 3"):
            read_pixels(path, 3)
    put("b/x.png")
    assert len(open_images(f"folder:{tmp_path}", view=View(8))) == 13


def test_colors_of_other_models(tmp_path):
    Image.new("CMYK", (8, 8), (255, 0, 0, 0)).save(tmp_path / "c.jpg", quality=100)
    assert read_pixels(tmp_path / "c.jpg").values[:, 4, 4].tolist() == [0, 255, 255]
    Image.new("LAB", (8, 8), (50, 0, 0)).save(tmp_path / "lab.tif")
    with pytest.raises(BrokenImageError, match="a picture of LAB pixels"):
        read_pixels(tmp_path / "lab.tif")


def test_formats_that_run_programs_or_lose_bits_are_no_images(tmp_path):
    (tmp_path / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n%%EOF\n")
    with pytest.raises(BrokenImageError, match="not an image"):
        read_pixels(tmp_path / "x.png")
