"""Artifacts of scanners beside independent implementations: TorchIO and MONAI, where they are installed."""

import math

import numpy as np
import pytest
import scipy.ndimage
import torch

from medrobust.corruptions import CORRUPTIONS
from medrobust.corruptions.base import Lot, draw
from medrobust.corruptions.blur import SIDE, motion_blur
from medrobust.corruptions.scanner import ORDER, spikes
from medrobust.streams import Streams

IDS = ["a", "b", "c"]


class Chosen:
    """Random numbers that are given, in place of those that are drawn."""

    def __init__(self, *numbers: float) -> None:
        self.numbers = torch.tensor([numbers], dtype=torch.float64)

    def even(self, count: int) -> torch.Tensor:
        return self.numbers[:, :count].expand(len(IDS), -1)


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    """Smooth images from 0 to 1, each of which has both, longer than wide."""
    g = torch.Generator().manual_seed(0)
    smooth = scipy.ndimage.gaussian_filter(torch.rand(3, 1, 48, 32, generator=g).numpy(), (0, 0, 2, 2))
    low, high = (edge(smooth, axis=(1, 2, 3), keepdims=True) for edge in (np.min, np.max))
    return torch.from_numpy((smooth - low) / (high - low)).float()


def through(transform: object, image: torch.Tensor) -> torch.Tensor:
    """An image (1, h, w) through a transform of TorchIO, which wants (1, h, w, 1)."""
    return transform(image[..., None])[..., 0]  # type: ignore[operator]


def test_gamma_is_that_of_torchio_and_of_monai(x):
    tio, transforms = pytest.importorskip("torchio"), pytest.importorskip("monai.transforms")
    for name in ("gamma_up", "gamma_down"):
        for severity in (1, 2.5, 5):
            one = CORRUPTIONS[name]
            exponent, found = one.parameter(severity), one(x, severity)
            theirs = torch.stack([through(tio.transforms.Gamma(exponent), image) for image in x])
            assert torch.allclose(found, theirs, atol=1e-5)
            theirs = torch.stack([transforms.AdjustContrast(exponent)(image) for image in x])
            assert torch.allclose(found, theirs, atol=1e-4)


def test_a_bias_field_is_that_of_torchio(x):
    tio = pytest.importorskip("torchio")
    one, streams = CORRUPTIONS["bias_field"], Streams.of(0, IDS)
    strength, (h, w) = one.parameter(3), x.shape[-2:]
    powers = [(i, j) for i in range(ORDER + 1) for j in range(ORDER + 1 - i) if i + j]
    weights = 2 * draw(Lot(streams.child("corruption", "bias_field")), x, len(powers)) - 1
    small = 0.4 * x  # nothing is clipped at 1
    found = one(small, 3, streams)
    for image, row, ours in zip(small, weights.tolist(), found, strict=True):
        # Their coordinates reach 1 at the middle of the last pixel, ours at its edge; they have a third axis too.
        own = {p: v * (1 - 1 / h) ** p[0] * (1 - 1 / w) ** p[1] for p, v in zip(powers, row, strict=True)}
        listed = [
            own.get((i, j), 0.0) * (k == 0)
            for i in range(ORDER + 1) for j in range(ORDER + 1 - i) for k in range(ORDER + 1 - i - j)
        ]  # fmt: skip
        field = np.log(tio.transforms.BiasField.generate_bias_field(torch.ones(1, h, w, 1), ORDER, listed)[..., 0])
        scale = strength / np.abs(field).max()
        theirs = through(tio.transforms.BiasField([scale * value for value in listed], ORDER), image)
        assert torch.allclose(ours, theirs.float(), atol=1e-5)


def test_ghosting_is_that_of_torchio_on_the_other_lines(x):
    tio = pytest.importorskip("torchio")
    for severity in (1, 3, 5):
        one = CORRUPTIONS["ghosting"]
        share, found = one.parameter(severity), one(x, severity)
        # Theirs weakens the even lines but for the middle one, ours the odd ones: both together weaken all.
        theirs = torch.stack([through(tio.transforms.Ghosting(2, 0, share, None), image) for image in x])
        both = 2 * x - share * (x - x.mean(-2, keepdim=True))
        assert torch.allclose(found, (both - theirs).clamp(0, 1), atol=1e-5)


def test_a_spike_is_that_of_torchio(x):
    tio = pytest.importorskip("torchio")
    (h, w), height = x.shape[-2:], 0.05
    for cycles in (4, 7, 12):
        # A wave along the columns whose crest lies on the first of them.
        phase = (cycles / 2 - cycles * 0.5 / w) % 1
        found = spikes(x, height, Chosen((cycles - 4) / 12, 0.0, phase))  # type: ignore[arg-type]
        for image, ours in zip(x, found, strict=True):
            intensity = height * h * w / float(image.sum())
            position = np.array([[0.5, (w // 2 + cycles) / w + 1e-9, 0.5]])
            theirs = through(tio.transforms.Spike(position, intensity), image)
            assert torch.allclose(ours, theirs, atol=1e-4)


def test_motion_blur_is_the_mean_of_scipy_along_a_line(x):
    """TorchIO and MONAI have motion of a patient between lines of k-space, which is another fault."""
    length = 26.0  # of severity 5
    reach = length * math.sqrt(48 * 32) / SIDE
    for angle in (0.0, 0.25, 0.5, 0.8):
        found = motion_blur(x, length, Chosen(angle))  # type: ignore[arg-type]
        down, right = math.sin(math.pi * angle), math.cos(math.pi * angle)
        rows, columns = np.meshgrid(np.arange(48.0), np.arange(32.0), indexing="ij")
        steps = np.linspace(-reach / 2, reach / 2, 201)
        for image, ours in zip(x[:, 0].numpy(), found[:, 0].numpy(), strict=True):
            line = [
                scipy.ndimage.map_coordinates(image, [rows + t * down, columns + t * right], order=1, mode="nearest")
                for t in steps
            ]
            # Ours sums a few steps, for the integral: far less than the blur itself.
            assert np.abs(ours - np.mean(line, axis=0)).max() < 0.2 * np.abs(ours - image).max()
