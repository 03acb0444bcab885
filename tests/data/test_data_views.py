"""Square, size, channels and the rounding to the depth of the source."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from medrobust.data import View
from medrobust.data.files.pixels import Pixels
from medrobust.data.images.view import apply_view, center_crop, pad_to_square, resize
from medrobust.errors import UserError


@pytest.mark.parametrize("size", [5, 16, 40])
def test_resize_is_torchvisions_antialiased_bilinear(size):
    x = torch.rand(3, 23, 31, generator=torch.Generator().manual_seed(0))
    expected = reference.resize(x, [size, size], antialias=True)
    torch.testing.assert_close(resize(x, size), expected, rtol=0, atol=1e-6)


def test_volume_is_resized_along_each_axis():
    ramp = torch.linspace(0, 1, 12).reshape(1, 12, 1, 1).expand(1, 12, 10, 8).contiguous()
    out = resize(ramp, 6)
    assert out.shape == (1, 6, 6, 6)
    line = reference.resize(ramp[0, :, 0, :][None], [6, 6], antialias=True)[0, :, 0]
    torch.testing.assert_close(out[0, :, 2, 3], line, rtol=0, atol=1e-6)


def test_pad_and_crop_keep_the_center():
    x = torch.ones(1, 3, 8)
    padded = pad_to_square(x)
    assert padded.shape == (1, 8, 8)
    assert padded.sum(dim=(0, 2)).tolist() == [0, 0, 8, 8, 8, 0, 0, 0]
    x = torch.arange(8.0).expand(1, 3, 8)
    assert center_crop(x)[0, 0].tolist() == [2, 3, 4]


def test_eight_bit_images_stay_eight_bit():
    rng = np.random.default_rng(0)
    pixels = Pixels(rng.integers(0, 256, (1, 9, 9)).astype(np.uint8))
    same, _ = apply_view(pixels, View(color="grey"))
    np.testing.assert_array_equal(same, pixels.values)
    small, _ = apply_view(pixels, View(image_size=4))
    assert small.dtype == np.uint8
    assert small.shape == (3, 4, 4)
    exact = resize(torch.from_numpy(pixels.values / np.float32(255)), 4)
    assert np.abs(small[0] / 255 - exact[0].numpy()).max() <= 0.5 / 255 + 1e-6


def test_shape_of_every_fit():
    pixels = Pixels(np.zeros((1, 5, 9), np.uint8))
    shapes = {fit: apply_view(pixels, View(fit=fit, color="grey"))[0].shape for fit in ("resize", "pad", "crop")}
    assert shapes == {"resize": (1, 5, 9), "pad": (1, 9, 9), "crop": (1, 5, 5)}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"color": "gray"}, "data.color: unknown value 'gray'. Did you mean 'grey'?"),
        ({"fit": "stretch"}, "data.fit"),
        ({"image_size": 0}, "data.image_size: 0"),
        ({"image_size": 2.5}, "data.image_size"),
        ({"window": (40, 0)}, "data.window"),
    ],
)
def test_impossible_views(options, text):
    with pytest.raises(UserError) as error:
        View(**options)
    assert text in str(error.value)
