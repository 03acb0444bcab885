"""The threat model: what the adversary may do to an image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .norms import NORMS, Norm, as_norm, per_sample
from .numbers import parse_number
from .streams import Streams

_MOST_LOST = 0.999  # share of a step that the edge of the domain must leave of it, or the other pixels go farther


def not_above(value: Tensor | float, like: Tensor) -> Tensor:
    """A radius in the type of a batch, rounded down: what fits it fits the exact radius, as a person wrote it, too.

    Example:
        >>> eight = not_above(8 / 255, torch.zeros(1))
        >>> torch.tensor(8 / 255).double().item() > 8 / 255 >= eight.double().item()
        True
    """
    exact = torch.as_tensor(value, dtype=None if isinstance(value, Tensor) else torch.float64, device=like.device)
    rounded = exact.to(like.dtype)
    return torch.where(rounded.double() > exact.double(), torch.nextafter(rounded, torch.zeros_like(rounded)), rounded)


class Ball(NamedTuple):
    """The points allowed around a batch: within radius of center, inside the domain, equal to center outside the mask.

    center (n, ...), radius (n,), mask (n, ...) bool or None.
    """

    center: Tensor
    radius: Tensor
    norm: Norm
    domain: tuple[float, float]
    mask: Tensor | None = None

    def project(self, x: Tensor) -> Tensor:
        """The nearest allowed point."""
        d = x - self.center
        if self.mask is not None:
            d = torch.where(self.mask, d, 0)
        low, high = self.domain
        if self.norm.name == "linf":
            # Ball and domain are both boxes, one after the other. In place: fresh memory costs more than arithmetic.
            return self.norm.project(d, self.radius).add_(self.center).clamp_(low, high)
        d = self.norm.project_box(d, self.radius, low - self.center, high - self.center)
        return (self.center + d).clamp(low, high)

    def may(self, direction: Tensor) -> Tensor:
        """A direction, zero outside the mask."""
        return direction if self.mask is None else torch.where(self.mask, direction, 0)

    def free(self, direction: Tensor, x: Tensor) -> Tensor:
        """A direction at x, zero where a pixel cannot follow it: outside the mask, or at its edge of the domain.

        A step, or the size of a gradient, then counts only what can be used. Medical images have much black: with the
        whole direction, half of a Euclidean step can be clipped away, a step in l1 spends itself on a pixel that is
        black already, and an estimate of the distance to the boundary is half of the true one.
        """
        low, high = self.domain
        # A pixel that a projection has left by a rounding inside its edge is at its edge. In linf no other pixel gains.
        near = 0.0 if self.norm.name == "linf" else 4 * torch.finfo(x.dtype).eps * max(abs(low), abs(high))
        can = torch.where(direction > 0, x < high - near, x > low + near)
        return torch.where(can, self.may(direction), 0)

    def steepest(self, direction: Tensor, x: Tensor) -> Tensor:
        """The longest step of size 1 along a direction that the pixels at x can follow."""
        return self.norm.steepest(self.free(direction, x))

    def move(self, direction: Tensor, x: Tensor, size: Tensor) -> Tensor:
        """The step of a size (n,) from x that goes farthest along a direction inside the domain, before `project`.

        What the edge takes away of a step would be lost. In l2 the other pixels go farther. In l1 the steepest pixels
        go to the edge one after the other: one alone rarely has room for a step as long as budgets are there.
        """
        if self.norm.name == "l2":
            return self._move_l2(direction, x, per_sample(size, x).expand(len(x), *[1] * (x.ndim - 1)))
        if self.norm.name != "l1":
            return per_sample(size, x) * self.steepest(direction, x)
        low, high = self.domain
        free = self.free(direction, x).flatten(1)
        order = free.abs().argsort(dim=1, descending=True)
        room = torch.where(free > 0, high - x.flatten(1), x.flatten(1) - low).gather(1, order)
        used = (per_sample(size, free) - (room.cumsum(1) - room)).clamp_min(0).minimum(room)
        return (torch.zeros_like(free).scatter(1, order, used) * free.sign()).reshape_as(x)

    def _move_l2(self, direction: Tensor, x: Tensor, size: Tensor) -> Tensor:
        (low, high), tiny = self.domain, torch.finfo(x.dtype).tiny
        direction = direction / per_sample(direction.flatten(1).abs().amax(1), x).clamp_min(tiny)
        length = per_sample(self.norm.size(self.free(direction, x)), x)
        # Pixels at their edge are pushed as well, or projecting on the ball would take them away from it.
        allowed = self.may(direction)
        unit = torch.where(length > 0, allowed / length.clamp_min(tiny), 0)
        step = size * unit
        kept = self.norm.size(torch.minimum(torch.maximum(step, low - x), high - x))
        short = (kept < _MOST_LOST * size.flatten()).nonzero()[:, 0]
        if not len(short):
            return step
        at, ray = x[short], unit[short] * (high - low) * 1e3  # so long that only the radius ends it
        inside = self.norm.project_box(ray, size[short].flatten(), low - at, high - at)
        scale = (inside.abs() / unit[short].abs().clamp_min(tiny)).flatten(1).amax(1)
        return step.index_copy(0, short, per_sample(scale, at) * unit[short])

    def distance(self, x: Tensor) -> Tensor:
        """(n,) how large the change of x is, in float64, so that it can be compared with an exact radius."""
        return self.norm.distance(x, self.center, self.domain)

    def sample(self, streams: Streams) -> Tensor:
        """A random allowed point: uniform in the norm ball, then projected."""
        return self.project(self.center + self.norm.sample(self.center, self.radius, streams))

    def edge(self, streams: Streams) -> Tensor:
        """A random point at the edge of the ball, as far as the domain lets it."""
        direction = self.free(streams.normal(self.center), self.center)
        return self.project(self.center + per_sample(self.radius, direction) * self.norm.steepest(direction))

    def farthest(self) -> Tensor:
        """(n,) distance to the farthest corner of the domain: the largest radius that means anything."""
        low, high = self.domain
        return self.norm.size(torch.maximum(self.center - low, high - self.center))

    def contains(self, x: Tensor, tolerance: float = 0.0) -> Tensor:
        """(n,) bool: x is finite, in the domain, in the ball up to a relative tolerance, untouched outside the mask."""
        low, high = self.domain
        inside = ((x >= low) & (x <= high)).flatten(1).all(1)
        near = self.distance(x) <= self.radius.double() * (1 + tolerance)
        if self.mask is not None:
            inside &= ((x == self.center) | self.mask).flatten(1).all(1)
        return inside & near

    def round_inside(self, x: Tensor) -> Tensor:
        """The nearest float32 point that is inside the exact ball, not only up to rounding.

        `center + radius` is rounded to float32, so a projected point can be outside by one unit in the last place,
        which is 15 % of a budget of 1e-7 and enough to doubt a verdict. Points that are not finite become the center.
        Sizes are those of float64; a sum whose own rounding ends above the radius is shortened once more. In a family
        of corruptions the image is made again, and the center stands for what none within the radius makes.
        """
        finite = torch.isfinite(x).flatten(1).all(1)
        x = torch.where(per_sample(finite, x), x, self.center)
        if self.mask is not None:
            x = torch.where(self.mask, x, self.center)
        low, high = self.domain
        return self.norm.inside(x.clamp(low, high), self.center, self.radius, self.domain)


@dataclass(frozen=True, init=False)
class Threat:
    """A budget: the largest change, the norm that measures it, the range of a pixel, the pixels that may change.

    Args:
        epsilon: radius in units of the domain: a number, a text such as "4/255" or "2%", or one per sample (n,); inf
            for attacks that look for the smallest change. Of a family of corruptions a severity.
        norm: Linf(), L2(), L1(), or "linf", "l2", "l1"; or a family of `medrobust.corruptions.FAMILIES`, or its name.
        domain: lowest and highest value of a pixel.
        mask: bool, broadcastable to (n, c, *spatial); True where a pixel may change.

    Errors: ValueError when epsilon is negative or not a number, larger than the domain in linf or than 5 in a family,
        when a family is given a mask, or the domain is empty. UserError for a text that is no number.

    Example:
        >>> ball = Threat("8/255").around(torch.full((1, 1, 2, 2), 0.99))
        >>> round(float(ball.project(torch.ones(1, 1, 2, 2)).amax()), 4)
        1.0
        >>> Threat(8)
        Traceback (most recent call last):
        ValueError: epsilon 8 is larger than the domain [0, 1]: did you mean 8/255?
    """

    epsilon: float | Tensor
    norm: Norm
    domain: tuple[float, float]
    mask: Tensor | None

    def __init__(
        self,
        epsilon: float | str | Tensor = math.inf,
        norm: Norm | str = NORMS["linf"],
        domain: tuple[float, float] = (0.0, 1.0),
        mask: Tensor | None = None,
    ) -> None:
        radius = parse_number(epsilon, "epsilon") if isinstance(epsilon, str) else epsilon
        for name, value in (("epsilon", radius), ("norm", as_norm(norm)), ("domain", domain), ("mask", mask)):
            object.__setattr__(self, name, value)
        low, high = domain
        if not low < high:
            raise ValueError(f"empty domain {domain}")
        largest = torch.as_tensor(radius)
        if not bool((largest >= 0).all()):
            raise ValueError(f"epsilon must be 0 or larger, got {epsilon}")
        finite = largest[torch.isfinite(largest)]
        reason = self.norm.refuses(float(finite.max()) if finite.numel() else 0.0, domain, mask is not None)
        if reason:
            raise ValueError(reason)

    def around(self, x: Tensor) -> Ball:
        """The ball around a batch x (n, c, *spatial)."""
        radius = torch.as_tensor(self.epsilon, dtype=x.dtype, device=x.device)
        mask = None if self.mask is None else self.mask.to(x.device, torch.bool).expand(x.shape)
        return Ball(x, radius.expand(len(x)), self.norm, self.domain, mask)

    def exact(self, x: Tensor) -> Ball:
        """The ball around a batch in which verdicts are given: its radius is epsilon rounded down.

        In float32 8/255 is a little more than 8/255, and a change of that size does not fit.

        Example:
            >>> x, more = torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 8 / 255)
            >>> Threat("8/255").around(x).contains(more).item(), Threat("8/255").exact(x).contains(more).item()
            (True, False)
        """
        return self.around(x)._replace(radius=not_above(self.epsilon, x).expand(len(x)))
