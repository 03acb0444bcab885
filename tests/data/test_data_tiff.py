"""TIFF of every depth, sign, photometric, order of bytes, compression and layout, against tifffile."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from medrobust.data import View
from medrobust.data.files.pixels import BrokenImageError
from medrobust.data.files.read import num_frames, read_pixels
from medrobust.data.images.view import to_unit

tifffile = pytest.importorskip("tifffile")

RNG = np.random.default_rng(0)
LOW, HIGH = {"i1": -128, "i2": -32768, "i4": -(2**31)}, {"u1": 2**8, "u2": 2**16, "u4": 2**32, "i1": 128, "i2": 2**15}
COMPRESSIONS = [None, "zlib"]  # those that tifffile writes alone


def noise(kind: str, *shape: int) -> np.ndarray:
    if kind[0] == "f":
        return RNG.random(shape).astype(kind)
    return RNG.integers(LOW.get(kind, 0), HIGH.get(kind, 2**31), shape).astype(kind)


def read_or_reason(path: Path) -> np.ndarray | str:
    try:
        return read_pixels(path).values
    except BrokenImageError as error:
        return str(error)


GREY = ("u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8")
# what Pillow cannot decode: it is refused, and everything else is equal
UNKNOWN = {*itertools.product(("f2", "f8"), "<>", ("minisblack", "miniswhite")), ("u4", ">", "minisblack")}
UNKNOWN |= {*itertools.product(("u4", "i1", "i2", "i4"), "<>", ["miniswhite"]), ("u2", ">", "miniswhite")}


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", GREY)
def test_grey(tmp_path, kind, order, photometric):
    array = noise(kind, 19, 23)
    for compression in COMPRESSIONS:
        path = tmp_path / f"{compression}.tif"
        tifffile.imwrite(path, array, byteorder=order, photometric=photometric, compression=compression)
        found = read_or_reason(path)
        if (kind, order, photometric) in UNKNOWN:
            assert found == "a TIFF of a kind that is not read, or a damaged one"
            continue
        stored = tifffile.imread(path)
        np.testing.assert_array_equal(stored, array)
        pixels, inverted = read_pixels(path), photometric == "miniswhite"
        eight = kind == "u1" and inverted  # which Pillow inverts itself
        np.testing.assert_array_equal(pixels.values[0], 255 - stored if eight else stored)
        assert pixels.inverted == (inverted and not eight)
        if kind in ("u1", "u2"):
            x = to_unit(pixels, View())[0][0].numpy()
            expected = stored / np.iinfo(stored.dtype).max
            np.testing.assert_allclose(x, 1 - expected if inverted else expected, atol=1e-6)
        elif kind[0] == "f":  # which lies in [0, 1]
            np.testing.assert_allclose(to_unit(pixels, View())[0][0], 1 - stored if inverted else stored, atol=1e-6)
        else:
            with pytest.raises(BrokenImageError, match="range of its values"):
                to_unit(pixels, View())
            least, most = float(stored.min()), float(stored.max())
            x = to_unit(pixels, View(scale="image"))[0][0].numpy()
            np.testing.assert_allclose(x, (stored.astype(float) - least) / (most - least), atol=1e-6)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_color(tmp_path, kind, order):
    array = noise(kind, 33, 35, 3)
    layouts = {
        "plain": (array, {}),
        "planes": (array.transpose(2, 0, 1), {"planarconfig": "separate"}),
        "tiles": (array, {"tile": (16, 16)}),
        "alpha": (np.dstack([array, noise(kind, 33, 35)]), {"extrasamples": ["unassalpha"]}),
        "extra": (np.dstack([array, noise(kind, 33, 35)]), {"extrasamples": ["unspecified"]}),
        "opaque": (np.dstack([array, np.full((33, 35), HIGH[kind] - 1, kind)]), {"extrasamples": ["assocalpha"]}),
    }
    for (name, (content, options)), compression in itertools.product(layouts.items(), COMPRESSIONS):
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, content, byteorder=order, photometric="rgb", compression=compression, **options)
        found = read_or_reason(path)
        if kind == "u2" and name == "planes":
            assert found == "a TIFF of separate planes of more than 8 bits, which is not read: interleave them"
        else:
            np.testing.assert_array_equal(found, array.transpose(2, 0, 1), err_msg=f"{name} {compression}")
    tifffile.imwrite(tmp_path / "x.tif", layouts["alpha"][0], photometric="rgb", extrasamples=["assocalpha"])
    assert "multiplied by their opacity" in str(read_or_reason(tmp_path / "x.tif"))


@pytest.mark.parametrize(("factor", "bits"), [(257, 8), (256, 8), (1, 16)])
def test_palettes_of_8_and_16_bits(tmp_path, factor, bits):
    colors = (RNG.integers(0, 256 if factor > 1 else 65536, (3, 256)) * factor).astype(np.uint16)
    index = noise("u1", 19, 23)
    tifffile.imwrite(tmp_path / "x.tif", index, photometric="palette", colormap=colors)
    pixels = read_pixels(tmp_path / "x.tif")
    assert pixels.bits == bits
    np.testing.assert_array_equal(pixels.values, colors[:, index] >> (16 - bits))


def test_one_bit(tmp_path):
    array = RNG.integers(0, 2, (9, 17)).astype(bool)
    for photometric, shown in (("minisblack", array), ("miniswhite", ~array)):
        tifffile.imwrite(tmp_path / "x.tif", array, photometric=photometric)
        pixels = read_pixels(tmp_path / "x.tif")
        assert pixels.bits == 1
        np.testing.assert_array_equal(to_unit(pixels, View())[0][0], shown)


@pytest.mark.parametrize(("bits", "inverted"), [(2, False), (4, False), (2, True), (4, True), (12, False)])
def test_depths_that_share_bytes(tmp_path, bits, inverted):
    """Written by hand: one strip, little-endian, two values a byte of 4 bits, the high one first."""
    import struct

    values = RNG.integers(0, 2**bits, (6, 8))
    bit = ((values[..., None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8).reshape(6, -1)
    strip = np.packbits(bit, axis=1).tobytes()
    tags = {256: 8, 257: 6, 258: bits, 259: 1, 262: int(not inverted), 273: 8, 277: 1, 278: 6, 279: len(strip)}
    table = b"".join(struct.pack("<HHII", tag, 4 if tag > 272 else 3, 1, value) for tag, value in tags.items())
    content = struct.pack("<2sHI", b"II", 42, 8 + len(strip)) + strip + struct.pack("<H", len(tags)) + table
    (tmp_path / "x").write_bytes(content + b"\0" * 4)
    pixels = read_pixels(tmp_path / "x")
    assert pixels.bits == bits
    expected = values / (2**bits - 1)
    x, source = to_unit(pixels, View())
    np.testing.assert_allclose(x[0], 1 - expected if inverted else expected, atol=1e-6)
    assert source.resolution == pytest.approx(1 / (2**bits - 1))


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "raw", "group4"])
def test_compressions_of_pillow(tmp_path, compression):
    if not features.check("libtiff"):
        pytest.skip("Pillow is built without libtiff")
    bits = RNG.integers(0, 2, (20, 30)).astype(bool)
    arrays = [bits] if compression == "group4" else [noise("u1", 20, 30), noise("u2", 20, 30)]
    for array in arrays:
        Image.fromarray(array).save(tmp_path / "x.tif", compression=compression)
        pixels = read_pixels(tmp_path / "x.tif")
        top = 1 if array.dtype == bool else np.iinfo(array.dtype).max
        np.testing.assert_allclose(to_unit(pixels, View())[0][0], array / top, atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 3)])
@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_pages_that_lie_on_their_side(tmp_path, kind, shape, compression, orientation):
    upright = noise(kind, *shape)
    turned = upright.swapaxes(0, 1) if orientation > 4 else upright
    stored = {1: turned, 2: turned[:, ::-1], 3: turned[::-1, ::-1], 4: turned[::-1]}
    stored |= {5: turned, 6: turned[::-1], 7: turned[::-1, ::-1], 8: turned[:, ::-1]}
    if kind == "f4" and len(shape) == 3:
        return
    tag = [(274, "H", 1, orientation, True)]
    options = {"photometric": "rgb" if len(shape) == 3 else "minisblack", "compression": compression}
    tifffile.imwrite(tmp_path / "x.tif", np.ascontiguousarray(stored[orientation]), extratags=tag, **options)
    expected = upright.transpose(2, 0, 1) if len(shape) == 3 else upright[None]
    np.testing.assert_array_equal(read_pixels(tmp_path / "x.tif").values, expected)


def test_pages(tmp_path):
    pages = noise("u2", 3, 19, 23)
    tifffile.imwrite(tmp_path / "x", pages, photometric="minisblack")
    assert num_frames(tmp_path / "x") == 3
    for k in range(3):
        np.testing.assert_array_equal(read_pixels(tmp_path / "x", k).values[0], pages[k])
    with pytest.raises(BrokenImageError, match="holds 3 pictures, name one"):
        read_pixels(tmp_path / "x")
    tifffile.imwrite(tmp_path / "big", pages[0], bigtiff=True)
    np.testing.assert_array_equal(read_pixels(tmp_path / "big").values[0], pages[0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity(tmp_path, value):
    array = np.array([[0.5, value]], np.float32)
    tifffile.imwrite(tmp_path / "x.tif", array)
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", image=array, low=0.0, high=1.0)
    for name in ("x.tif", "x.npy", "x.npz"):
        with pytest.raises(BrokenImageError, match="NaN or infinite"):
            to_unit(read_pixels(tmp_path / name), View(window=(0, 1)))
