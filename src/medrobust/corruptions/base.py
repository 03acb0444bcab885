"""What a corruption is: a change that happens without an adversary, at a severity from 0 to 5."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..numbers import MOST_SEVERE
from ..streams import Randomness, Streams, as_streams

DRAWS = 4  # directions, places or noises of each image that a search tries at each severity
SIGNS = 2  # of those that go one way or the other, where more draws are the same again
GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Lot:
    """The random numbers of one draw of each image.

    Args:
        streams: of the images, the same for all draws.
        number: of the draw, from 0.
        count: of the draws.
    """

    streams: Streams
    number: int = 0
    count: int = DRAWS

    @property
    def _own(self) -> Streams:
        return self.streams.child("draw", self.number) if self.number else self.streams

    def child(self, *labels: str) -> Lot:
        """Other numbers of the same draw."""
        return Lot(self.streams.child(*labels), self.number, self.count)

    def uniform(self, like: Tensor) -> Tensor:
        """See Streams.uniform."""
        return self._own.uniform(like)

    def normal(self, like: Tensor) -> Tensor:
        """See Streams.normal."""
        return self._own.normal(like)

    def even(self, count: int) -> Tensor:
        """(n, count) float64 on [0, 1): uniform in draw 0, and evenly apart from draw to draw.

        Four directions are thus quarters of a turn apart, and of two signs both are drawn.
        """
        keys = self.streams.keys
        first = self.streams.uniform(torch.empty(len(keys), count, dtype=torch.float64, device=keys.device))
        if not self.number:
            return first
        apart = torch.tensor([1 / self.count, *(GOLDEN * k % 1 for k in range(1, count))], dtype=torch.float64)
        return (first + self.number * apart.to(first)) % 1


Change = Callable[[Tensor, float, Lot], Tensor]
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
        num_draws: draws of its random numbers that a search tries; 1 where it uses none.

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
    num_draws: int = DRAWS

    @property
    def randomized(self) -> bool:
        """Whether it uses random numbers, so that another draw is another image."""
        return self.num_draws > 1

    def parameter(self, severity: float) -> float:
        """The parameter at a severity, a whole number or one between. Errors: ValueError outside [0, 5]."""
        if not 0 <= severity <= MOST_SEVERE:
            raise ValueError(f"severity {severity} is not from 0 to {MOST_SEVERE:g}")
        points = (self.neutral, *self.severities)
        below = min(int(severity), len(points) - 2)
        share = severity - below
        return points[below] if share == 0 else points[below] + share * (points[below + 1] - points[below])

    def __call__(
        self,
        x: Tensor,
        severity: float,
        generator: Randomness = None,
        domain: tuple[float, float] = (0.0, 1.0),
        number: int = 0,
    ) -> Tensor:
        """The images (n, c, *spatial) at a severity, inside the domain; at 0 the very tensor that was given.

        The random numbers of an image are its own, and the same at every severity: its batch does not matter. Another
        number is another draw of them.
        """
        parameter = self.parameter(severity)
        if severity == 0:
            return x
        if x.ndim not in (4, 5):
            raise ValueError(f"corruptions take images (n, c, h, w) or volumes (n, c, d, h, w), not {tuple(x.shape)}")
        low, high = domain
        streams = as_streams(generator, len(x), x.device).child("corruption", self.name)
        with torch.no_grad():
            lot = Lot(streams, number, self.num_draws)
            changed = self.change(((x - low) / (high - low)).clamp(0, 1), parameter, lot)
        return (changed.clamp(0, 1) * (high - low) + low).to(x.dtype)


def like_channels(noise: Tensor, x: Tensor) -> Tensor:
    """Noise (n, c, ...) that is the same in all channels of images whose channels are equal: grey stays grey."""
    grey = (x == x[:, :1]).flatten(1).all(1).reshape(-1, *[1] * (x.ndim - 1))
    return torch.where(grey, noise[:, :1].expand_as(noise), noise)


def planes(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Volumes as (n, c * d, h, w) and the way back; images as they are."""
    shape = x.shape
    return x.reshape(len(x), -1, *shape[-2:]), lambda found: found.reshape(shape)


def draw(lot: Lot, like: Tensor, count: int) -> Tensor:
    """(n, count) float64 uniform on [0, 1), on the device of a batch."""
    return lot.even(count).to(like.device)


def draws_of(x: Tensor) -> Streams:
    """The random numbers that corruptions draw for images (n, ...): of each image's pixels, whatever surrounds it.

    Example:
        >>> x = torch.rand(3, 1, 4, 4)
        >>> torch.equal(draws_of(x)[1:].keys, draws_of(x[1:]).keys)
        True
    """
    rows = (x.detach() + 0.0).cpu().contiguous()  # + 0: a negative zero is a zero
    ids = [hashlib.blake2b(row.numpy().tobytes(), digest_size=16).hexdigest() for row in rows]
    return Streams.of(0, ids, x.device)


def each(value: Tensor, like: Tensor) -> Tensor:
    """(n,) as a factor of images (n, c, h, w), in their type."""
    return value.to(like.dtype).reshape(-1, *[1] * (like.ndim - 1))


def coordinates(x: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (h, 1) and columns (1, w) of the planes of x, from -1 to 1."""
    h, w = x.shape[-2:]
    rows = (torch.arange(h, device=x.device, dtype=x.dtype) + 0.5) * 2 / h - 1
    columns = (torch.arange(w, device=x.device, dtype=x.dtype) + 0.5) * 2 / w - 1
    return rows[:, None], columns[None, :]
