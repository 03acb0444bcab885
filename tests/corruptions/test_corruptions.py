"""Corruptions: severity 0 is the image, more is worse, an image has its own, and others compute the same."""

import io
import itertools
import math

import numpy as np
import pytest
import scipy.ndimage
import torch
from PIL import Image
from torchvision.transforms import functional as vision

from medrobust.corruptions import CORRUPTIONS, MODALITIES, choose, linf_of, psnr, ssim
from medrobust.corruptions.base import Lot, draw
from medrobust.data import open_images
from medrobust.errors import UserError
from medrobust.streams import Streams

IDS = [f"i{k}" for k in range(6)]


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    """Color pictures of the phantom, with something in every frequency."""
    return open_images("phantom:dermoscopy@64,count=40", split="all").batch(range(6)).x


def own(name: str, ids: list[str] = IDS) -> Lot:
    """The random numbers that a corruption sees."""
    return Lot(Streams.of(0, ids).child("corruption", name))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_identity_order_batches_and_range(name, x):
    one, streams = CORRUPTIONS[name], Streams.of(0, IDS)
    assert one(x, 0, streams) is x
    assert torch.equal(one(x, 0.0, streams, domain=(0, 1)), x)
    means = []
    for severity in (0.5, 1, 2, 3, 4, 5):
        found = one(x, severity, streams)
        assert (found.shape, found.dtype) == (x.shape, x.dtype)
        assert torch.equal(found, found.clamp(0, 1))
        means.append(float(psnr(x, found).clamp_max(200).mean()))
    assert all(a >= b for a, b in itertools.pairwise(means)), means
    assert means[1] > means[-1] + 3  # and not only by rounding
    turned = torch.tensor([4, 1, 5])
    assert torch.allclose(one(x[turned], 3, streams[turned]), one(x, 3, streams)[turned], atol=1e-6)
    grey = x[:, :1].expand(-1, 3, -1, -1).contiguous()
    if name not in ("less_saturation", "more_saturation", "hue"):
        found = one(grey, 3, streams)
        assert torch.equal(found, found[:, :1].expand_as(found))
        assert not torch.equal(found, grey)
    wide = one(4 * x - 1, 2, streams, domain=(-1.0, 3.0))
    assert torch.allclose((wide + 1) / 4, one(x, 2, streams), atol=0.02)
    another = one(x, 2, Streams.of(1, IDS))
    assert one.randomized != torch.equal(another, one(x, 2, streams))
    volume = x[:, :1, None].expand(-1, 1, 3, -1, -1).contiguous()
    assert one(volume, 2, streams).shape == volume.shape


def test_severities_between_and_outside():
    one = CORRUPTIONS["rotation"]
    assert [one.parameter(s) for s in (0, 0.5, 1, 2.5, 5)] == [0, 1, 2, 7.5, 25]
    for wrong in (-0.1, 5.1, math.nan):
        with pytest.raises(ValueError, match="severity"):
            one.parameter(wrong)
    with pytest.raises(ValueError, match="corruptions take images"):
        one(torch.rand(2, 3, 9), 1)


def test_blur_contrast_saturation_and_gamma_are_those_of_torchvision(x):
    for severity in (1, 3, 5):
        blur = CORRUPTIONS["gaussian_blur"]
        sigma = blur.parameter(severity) * 64 / 224
        kernel = 2 * int(4 * sigma + 0.5) + 1
        assert torch.allclose(blur(x, severity), vision.gaussian_blur(x, kernel, sigma), atol=1e-5)
        for name, reference in (
            ("less_contrast", vision.adjust_contrast), ("more_contrast", vision.adjust_contrast),
            ("less_saturation", vision.adjust_saturation), ("more_saturation", vision.adjust_saturation),
            ("gamma_up", vision.adjust_gamma), ("gamma_down", vision.adjust_gamma),
        ):  # fmt: skip
            one = CORRUPTIONS[name]
            expected = torch.stack([reference(image, one.parameter(severity)) for image in x])
            assert torch.allclose(one(x, severity), expected, atol=2e-3 if "saturation" in name else 2e-4), name


def test_jpeg_is_that_of_pillow(x):
    pixels = (x[0] * 255).round().byte().permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=30)
    expected = np.asarray(Image.open(buffer)).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(CORRUPTIONS["jpeg"](x, 3)[0].numpy(), expected, atol=1e-6)


def test_down_sampling_is_that_of_torchvision(x):
    small = vision.resize(x, [32, 32], antialias=True)
    expected = vision.resize(small, [64, 64], antialias=True)
    assert torch.allclose(CORRUPTIONS["down_sampling"](x, 2), expected.clamp(0, 1), atol=1e-6)


def test_rotation_shift_and_crop_are_those_of_scipy(x):
    streams = Streams.of(0, IDS)
    inner = slice(20, 44)  # where no edge is seen
    turned = CORRUPTIONS["rotation"](x, 3, streams)
    for i, u in enumerate(draw(own("rotation"), x, 1)[:, 0].tolist()):
        angle = -10 if u < 0.5 else 10
        expected = scipy.ndimage.rotate(x[i].double().numpy(), angle, axes=(1, 2), reshape=False, order=1)
        np.testing.assert_allclose(turned[i, :, inner, inner].numpy(), expected[:, inner, inner], atol=1e-4)
    moved = CORRUPTIONS["shift"](x, 5, streams)
    for i, u in enumerate(draw(own("shift"), x, 1)[:, 0].tolist()):
        step = 0.12 * 64 * np.array([math.sin(2 * math.pi * u), math.cos(2 * math.pi * u)])
        expected = scipy.ndimage.shift(x[i].double().numpy(), (0, *-step), order=1)
        np.testing.assert_allclose(moved[i, :, inner, inner].numpy(), expected[:, inner, inner], atol=1e-5)
    cut = CORRUPTIONS["crop"](x, 5, streams)
    for i, (right, down) in enumerate((2 * draw(own("crop"), x, 2) - 1).tolist()):
        at = (np.arange(64) + 0.5) / 64 * 2 - 1
        rows, columns = (((0.75 * at + 0.25 * step) + 1) * 32 - 0.5 for step in (down, right))
        places = np.meshgrid(rows, columns, indexing="ij")
        expected = scipy.ndimage.map_coordinates(x[i, 0].double().numpy(), places, order=1, mode="nearest")
        np.testing.assert_allclose(cut[i, 0].numpy(), expected, atol=1e-5)


def test_noise_has_the_moments_of_its_law():
    x, streams = torch.full((4, 1, 128, 128), 0.5), Streams.of(1, range(4))
    count = x.numel()
    for name, sd in (("gaussian_noise", 0.04), ("speckle_noise", 0.5 * 0.2), ("poisson_noise", math.sqrt(0.5 * 0.005))):
        d = (CORRUPTIONS[name](x, 2, streams) - x).double()
        assert abs(float(d.mean())) < 5 * sd / math.sqrt(count), name
        assert abs(float(d.std()) / sd - 1) < 5 / math.sqrt(count), name
    hit = CORRUPTIONS["impulse_noise"](x, 5, streams)
    assert abs(float((hit != 0.5).double().mean()) - 0.1) < 5 * math.sqrt(0.09 / count)
    dark = CORRUPTIONS["rician_noise"](torch.zeros_like(x), 3, streams).double()  # Rayleigh
    assert abs(float(dark.mean()) - 0.07 * math.sqrt(math.pi / 2)) < 5 * 0.07 * 0.655 / math.sqrt(count)


def test_artifacts_of_mri(x):
    from monai.transforms import GibbsNoise

    for severity in (1, 4):
        one = CORRUPTIONS["gibbs"]
        expected = torch.stack([GibbsNoise(one.parameter(severity))(image) for image in x]).clamp(0, 1)
        assert torch.allclose(one(x, severity), expected, atol=1e-5)
    share = CORRUPTIONS["ghosting"].parameter(3)
    half = torch.roll(x, 32, dims=-2)
    expected = x * (1 - share / 2) + half * share / 2
    assert torch.allclose(CORRUPTIONS["ghosting"](x, 3), expected, atol=1e-6)
    stripes = CORRUPTIONS["spikes"](torch.full_like(x, 0.5), 3) - 0.5
    assert abs(float(stripes.abs().max()) - 0.07) < 0.002
    power = torch.fft.fft2(stripes[0, 0].double()).abs().square()
    assert float(power.flatten().topk(12).values.sum() / power.sum()) > 0.7  # near one frequency and its mirror image


def test_visibility_is_that_of_others(x):
    from monai.metrics.regression import compute_ssim_and_cs

    noisy = CORRUPTIONS["gaussian_noise"](x, 3)
    expected, _ = compute_ssim_and_cs(x, noisy, 2, kernel_size=(11, 11), kernel_sigma=(1.5, 1.5), data_range=1.0)
    assert torch.allclose(ssim(x, noisy), expected.flatten(1).mean(1).double(), atol=1e-4)
    assert torch.allclose(ssim(x, x), torch.ones(6, dtype=torch.float64))
    for epsilon in (1 / 255, 0.1):
        moved = torch.full_like(x, 0.5) + epsilon
        assert linf_of(float(psnr(torch.full_like(x, 0.5), moved)[0])) == pytest.approx(epsilon, rel=1e-4)


def test_every_modality_names_corruptions():
    used = {name for names in MODALITIES.values() for name in names}
    assert used == set(CORRUPTIONS)
    assert all(len(choose([modality])) == len(set(names)) for modality, names in MODALITIES.items())
    assert len(choose(["all"])) == len(CORRUPTIONS)
    with pytest.raises(UserError, match="Did you mean 'ultrasound'"):
        choose(["ultrasond"])
