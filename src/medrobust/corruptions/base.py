"""What a corruption is: a change that happens without an adversary, at a severity from 0 to 5."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..streams import Randomness, Streams, as_streams

MOST = 5.0
Change = Callable[[Tensor, float, Streams], Tensor]
"""(x (n, c, *spatial) on [0, 1], parameter, random numbers of each image) -> like x."""


@dataclass(frozen=True)
class Corruption:
    """A change of images that happens without an adversary, in the manner of MedMNIST-C (Di Salvo et al. 2024).

    The severities are those of this package, with their parameters said, so that they can be judged; they are not the
    calibration of MedMNIST-C.

    Args:
        name: of it.
        family: corruptions of one family are searched together.
        unit: of the parameter, in words.
        neutral: the parameter that changes nothing.
        severities: the parameter at severity 1 to 5; between them it is linear.
        change: what it does.
        randomized: it uses random numbers, so that another draw is another image.

    Errors: ValueError for a severity outside [0, 5], or images that are not (n, c, h, w) or (n, c, d, h, w).

    Example:
        >>> from medrobust.corruptions import CORRUPTIONS
        >>> blur, x = CORRUPTIONS["gaussian_blur"], torch.rand(2, 1, 16, 16)
        >>> blur(x, 0) is x, blur.parameter(1.5), blur.unit
        (True, 1.5, 'standard deviation in pixels of a side of 224')
    """

    name: str
    family: str
    unit: str
    neutral: float
    severities: tuple[float, float, float, float, float]
    change: Change
    randomized: bool = True

    def parameter(self, severity: float) -> float:
        """The parameter at a severity, a whole number or one between. Errors: ValueError outside [0, 5]."""
        if not 0 <= severity <= MOST:
            raise ValueError(f"severity {severity} is not from 0 to {MOST:g}")
        points = (self.neutral, *self.severities)
        below = min(int(severity), len(points) - 2)
        share = severity - below
        return points[below] if share == 0 else points[below] + share * (points[below + 1] - points[below])

    def __call__(
        self, x: Tensor, severity: float, generator: Randomness = None, domain: tuple[float, float] = (0.0, 1.0)
    ) -> Tensor:
        """The images (n, c, *spatial) at a severity, inside the domain; at 0 the very tensor that was given.

        The random numbers of an image are its own, and the same at every severity: its batch does not matter.
        """
        parameter = self.parameter(severity)
        if severity == 0:
            return x
        if x.ndim not in (4, 5):
            raise ValueError(f"corruptions take images (n, c, h, w) or volumes (n, c, d, h, w), not {tuple(x.shape)}")
        low, high = domain
        streams = as_streams(generator, len(x), x.device).child("corruption", self.name)
        with torch.no_grad():
            changed = self.change(((x - low) / (high - low)).clamp(0, 1), parameter, streams)
        return (changed.clamp(0, 1) * (high - low) + low).to(x.dtype)


def like_channels(noise: Tensor, x: Tensor) -> Tensor:
    """Noise (n, c, ...) that is the same in all channels of images whose channels are equal: grey stays grey."""
    grey = (x == x[:, :1]).flatten(1).all(1).reshape(-1, *[1] * (x.ndim - 1))
    return torch.where(grey, noise[:, :1].expand_as(noise), noise)


def planes(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Volumes as (n, c * d, h, w) and the way back; images as they are."""
    shape = x.shape
    return x.reshape(len(x), -1, *shape[-2:]), lambda found: found.reshape(shape)


def draw(streams: Streams, like: Tensor, count: int, *label: str) -> Tensor:
    """(n, count) float64 uniform on (0, 1), on the device of a batch."""
    empty = torch.empty(len(like), count, dtype=torch.float64, device=streams.keys.device)
    return streams.child(*label).uniform(empty).to(like.device)


def each(value: Tensor, like: Tensor) -> Tensor:
    """(n,) as a factor of images (n, c, h, w), in their type."""
    return value.to(like.dtype).reshape(-1, *[1] * (like.ndim - 1))


def coordinates(x: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (h, 1) and columns (1, w) of the planes of x, from -1 to 1."""
    h, w = x.shape[-2:]
    rows = (torch.arange(h, device=x.device, dtype=x.dtype) + 0.5) * 2 / h - 1
    columns = (torch.arange(w, device=x.device, dtype=x.dtype) + 0.5) * 2 / w - 1
    return rows[:, None], columns[None, :]
