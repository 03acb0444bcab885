"""Values, depth and range that come out of files whose content is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medrobust.data import View
from medrobust.data.files.pixels import BrokenImageError
from medrobust.data.files.read import read_pixels
from medrobust.data.images.view import apply_view, to_unit

GRADIENT8 = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
GRADIENT16 = np.arange(24, dtype=np.uint16).reshape(4, 6) * 2500


def unit(path: Path, view: View | None = None) -> torch.Tensor:
    return to_unit(read_pixels(path), view or View())[0]


@pytest.mark.parametrize("suffix", ["png", "tif", "tiff", "pgm", "bmp"])
def test_eight_bit_gray_is_stored_over_255(put, suffix):
    path = put(f"x.{suffix}", array=GRADIENT8)
    assert read_pixels(path).bits == 8
    torch.testing.assert_close(unit(path), torch.from_numpy(GRADIENT8[None] / np.float32(255)), rtol=0, atol=1e-7)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bit_gray_is_stored_over_65535(put, suffix):
    path = put(f"x.{suffix}", array=GRADIENT16)
    pixels = read_pixels(path)
    assert (pixels.bits, pixels.low, pixels.high) == (16, 0.0, 65535.0)
    expected = torch.from_numpy((GRADIENT16[None] / 65535).astype(np.float32))
    torch.testing.assert_close(unit(path), expected, rtol=0, atol=1e-7)
    values, source = apply_view(pixels, View(color="grey"))
    assert values.dtype == np.uint16
    assert source.bits == 16
    np.testing.assert_array_equal(values[0], GRADIENT16)


def test_pgm_of_twelve_bits_says_so(tmp_path):
    stored = np.arange(24).reshape(4, 6) * 178
    path = tmp_path / "x.pgm"
    path.write_bytes(b"P5\n# a comment\n6 4\n4095\n" + stored.astype(">u2").tobytes())
    assert read_pixels(path).bits == 12
    torch.testing.assert_close(unit(path)[0], torch.from_numpy((stored / 4095).astype(np.float32)), rtol=0, atol=1e-5)


def test_color_palette_alpha_and_bilevel(put, tmp_path):
    color = np.zeros((2, 2, 3), dtype=np.uint8)
    color[0, 0] = (255, 128, 0)
    assert unit(put("c.png", array=color))[:, 0, 0].mul(255).round().tolist() == [255, 128, 0]
    alpha = np.dstack([color, np.full((2, 2), 7, np.uint8)])
    assert unit(put("a.png", array=alpha))[:, 0, 0].mul(255).round().tolist() == [255, 128, 0]
    Image.fromarray(color).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "p.png")
    assert unit(tmp_path / "p.png")[:, 0, 0].mul(255).round().tolist() == [255, 128, 0]
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1").save(tmp_path / "b.png")
    assert unit(tmp_path / "b.png").flatten().tolist() == [0.0, 1.0]


def test_gray_of_a_color_image_is_luma(put):
    color = np.zeros((2, 2, 3), dtype=np.uint8)
    color[...] = (200, 100, 50)
    values, _ = apply_view(read_pixels(put("c.png", array=color)), View(color="grey"))
    assert values[0, 0, 0] == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)


def test_jpeg_is_decoded_and_truncated_jpeg_is_not(put):
    path = put("x.jpg", array=np.full((32, 32), 200, np.uint8), quality=95)
    assert abs(float(unit(path).mean()) - 200 / 255) < 0.01
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(BrokenImageError, match=r"(?i)truncated"):
        read_pixels(path)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm", "jpg"])
def test_half_a_file_is_broken(put, suffix):
    rng = np.random.default_rng(0)
    path = put(f"x.{suffix}", array=rng.integers(0, 255, (40, 40)).astype(np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BrokenImageError):
        read_pixels(path)


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty"), (b"hello, this is text\n", "not an image")])
@pytest.mark.parametrize("name", ["x.png", "notes.txt"])
def test_what_is_no_image_says_why(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BrokenImageError, match=reason):
        read_pixels(path)


def test_missing_file(tmp_path):
    with pytest.raises(BrokenImageError, match="no such file"):
        read_pixels(tmp_path / "x.png")


def test_float_tiff_needs_a_range_unless_it_is_unit(tmp_path):
    Image.fromarray(np.array([[0.25, 1.0]], np.float32)).save(tmp_path / "unit.tif")
    assert unit(tmp_path / "unit.tif").flatten().tolist() == [0.25, 1.0]
    Image.fromarray(np.array([[-2.0, 2.0]], np.float32)).save(tmp_path / "wide.tif")
    with pytest.raises(BrokenImageError, match="range"):
        unit(tmp_path / "wide.tif")
    assert unit(tmp_path / "wide.tif", View(window=(0.0, 8.0))).flatten().tolist() == [0.25, 0.75]
    assert unit(tmp_path / "wide.tif", View(scale="image")).flatten().tolist() == [0.0, 1.0]
