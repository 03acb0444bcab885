"""Perturbation geometry: how large, which way is steepest, how to come back. The one projection of each norm.

In every function d and g are (n, ...), one sample per row, and radius is (n,) or a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .corruptions.family import FAMILIES
from .errors import nearest
from .streams import Streams

MOST_ROUNDS = 20  # of the search for a scale; a handful is usual


def per_sample(value: Tensor | float, like: Tensor) -> Tensor:
    """Reshape (n,) to (n, 1, ..., 1), so that it broadcasts over like (n, ...).

    Example:
        >>> per_sample(torch.ones(4), torch.zeros(4, 3, 8, 8)).shape
        torch.Size([4, 1, 1, 1])
    """
    dtype = value.dtype if isinstance(value, Tensor) else like.dtype
    column: Tensor = torch.as_tensor(value, dtype=dtype, device=like.device)
    return column.reshape(-1, *[1] * (like.ndim - 1))


class Norm(Protocol):
    """What a threat needs to know of a norm, or of a family of corruptions, which is searched without a slope."""

    @property
    def name(self) -> str:
        """Its name in recipes and records."""

    @property
    def has_slope(self) -> bool:
        """Whether a change can be made larger, smaller, and along a direction: all below but the next three."""

    def refuses(self, largest: float, domain: tuple[float, float], masked: bool) -> str:
        """Why a finite budget, on this domain, inside a mask or not, makes no sense; empty where it does."""

    def distance(self, x: Tensor, center: Tensor, domain: tuple[float, float]) -> Tensor:
        """(n,) float64 how large the change from center to x is."""

    def inside(self, x: Tensor, center: Tensor, radius: Tensor, domain: tuple[float, float]) -> Tensor:
        """x (n, ...) where its change is no larger than the radius (n,); elsewhere a point like it that is."""

    def size(self, d: Tensor) -> Tensor:
        """(n,) the norm of each perturbation."""

    def dual_size(self, g: Tensor) -> Tensor:
        """(n,) the largest <g, d> over the unit ball."""

    def steepest(self, g: Tensor) -> Tensor:
        """The point of the unit ball that attains dual_size; zero where g is zero."""

    def project(self, d: Tensor, radius: Tensor | float) -> Tensor:
        """The nearest point, in the Euclidean sense, of the ball of this radius."""

    def project_box(self, d: Tensor, radius: Tensor | float, low: Tensor, high: Tensor) -> Tensor:
        """The nearest point of the ball with low <= d <= high, where low <= 0 <= high."""

    def sample(self, like: Tensor, radius: Tensor | float, streams: Streams) -> Tensor:
        """A point uniform in the ball."""


def _norm2(d: Tensor) -> Tensor:
    size: Tensor = torch.linalg.vector_norm(d.flatten(1), dim=1)
    return size


_SLACK = 1e-12  # share of a radius that float64 sums may be wrong by


def _within(norm: Norm, x: Tensor, center: Tensor, radius: Tensor, domain: tuple[float, float]) -> Tensor:
    """The nearest point to x, in the type of center, that is inside the exact ball, not only up to rounding."""
    x = _shortened(norm, x, center, radius.double())
    far = norm.distance(x, center, domain) > radius.double()
    return torch.where(per_sample(far, x), _shortened(norm, x, center, radius.double() * (1 - _SLACK)), x)


def _shortened(norm: Norm, x: Tensor, center: Tensor, radius: Tensor) -> Tensor:
    exact = center.double()
    d = norm.project(x.double() - exact, radius)
    x = (exact + d).to(center.dtype)
    # Rounding moves a coordinate by at most one unit in the last place: step back towards the center where it
    # moved out.
    out = (x.double() - exact).abs() > d.abs()
    return torch.where(out, torch.nextafter(x, center), x)


@dataclass(frozen=True)
class Linf:
    """The largest change of any pixel.

    Example:
        >>> Linf().project(torch.tensor([[0.5, -0.1]]), 0.2)
        tensor([[ 0.2000, -0.1000]])
    """

    name: str = "linf"
    has_slope: bool = True

    def refuses(self, largest: float, domain: tuple[float, float], masked: bool) -> str:
        low, high = domain
        if largest <= (high - low) * (1 + 1e-6):
            return ""
        return f"epsilon {largest:g} is larger than the domain [{low:g}, {high:g}]: did you mean {largest:g}/255?"

    def distance(self, x: Tensor, center: Tensor, domain: tuple[float, float]) -> Tensor:
        return self.size(x.double() - center.double())

    def inside(self, x: Tensor, center: Tensor, radius: Tensor, domain: tuple[float, float]) -> Tensor:
        return _within(self, x, center, radius, domain)

    def size(self, d: Tensor) -> Tensor:
        """(n,) the largest magnitude."""
        return d.flatten(1).abs().amax(1)

    def dual_size(self, g: Tensor) -> Tensor:
        """(n,) the sum of the magnitudes."""
        return g.flatten(1).abs().sum(1)

    def steepest(self, g: Tensor) -> Tensor:
        """(n, ...) the sign of every value."""
        return g.sign()

    def project(self, d: Tensor, radius: Tensor | float) -> Tensor:
        """(n, ...) every value clipped to [-radius, radius]."""
        bound = per_sample(radius, d)
        return torch.maximum(d, -bound).clamp_max_(bound)

    def project_box(self, d: Tensor, radius: Tensor | float, low: Tensor, high: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(self.project(d, radius), low), high)

    def sample(self, like: Tensor, radius: Tensor | float, streams: Streams) -> Tensor:
        """(n, ...) every value uniform in [-radius, radius]."""
        return per_sample(radius, like) * (2 * streams.uniform(like) - 1)


@dataclass(frozen=True)
class L2:
    """The Euclidean length of the change.

    Example:
        >>> L2().project(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), 1.0)
        tensor([[0.6000, 0.8000],
                [0.3000, 0.4000]])
    """

    name: str = "l2"
    has_slope: bool = True

    def refuses(self, largest: float, domain: tuple[float, float], masked: bool) -> str:
        return ""

    def distance(self, x: Tensor, center: Tensor, domain: tuple[float, float]) -> Tensor:
        return self.size(x.double() - center.double())

    def inside(self, x: Tensor, center: Tensor, radius: Tensor, domain: tuple[float, float]) -> Tensor:
        return _within(self, x, center, radius, domain)

    def size(self, d: Tensor) -> Tensor:
        """(n,) the root of the sum of squares."""
        return _norm2(d)

    def dual_size(self, g: Tensor) -> Tensor:
        """(n,) the same: l2 is its own dual."""
        return _norm2(g)

    def steepest(self, g: Tensor) -> Tensor:
        """(n, ...) g over its length; zero where g is zero."""
        # Scaled first: the square of a gradient of a saturated network underflows.
        g = g / per_sample(g.flatten(1).abs().amax(1), g).clamp_min(torch.finfo(g.dtype).tiny)
        return g / per_sample(_norm2(g), g).clamp_min(torch.finfo(g.dtype).tiny)

    def project(self, d: Tensor, radius: Tensor | float) -> Tensor:
        """(n, ...) d, shortened to the radius where it is longer."""
        size = per_sample(_norm2(d), d)
        return torch.where(size > per_sample(radius, d), d * (per_sample(radius, d) / size), d)

    def project_box(self, d: Tensor, radius: Tensor | float, low: Tensor, high: Tensor) -> Tensor:
        """The nearest point of the ball with low <= d <= high, where low <= 0 <= high.

        It is clip(scale * d, low, high) with the largest scale <= 1 that fits. Projecting on the ball first and
        clipping after gives a shorter change than the budget allows. Pixels at their bound stay there while the scale
        grows, so solving for the scale with those at the bound set aside ends after a few rounds.

        Example:
            >>> d, low, high = torch.tensor([[4.0, 4.0]]), torch.zeros(1, 2), torch.tensor([[0.6, 9.0]])
            >>> L2().project_box(d, 1.0, low, high)
            tensor([[0.6000, 0.8000]])
        """
        flat, low, high = d.flatten(1), low.flatten(1), high.flatten(1)
        bound = per_sample(radius, flat).to(flat).expand(len(flat), 1)
        tiny = torch.finfo(flat.dtype).tiny
        clipped = torch.minimum(torch.maximum(flat, low), high)
        scale = (bound / per_sample(_norm2(flat), flat).clamp_min(tiny)).clamp_max(1)
        for _ in range(MOST_ROUNDS):
            moved = scale * flat
            at_bound = (moved >= high) & (flat > 0) | (moved <= low) & (flat < 0)
            kept = torch.where(at_bound, clipped, 0)
            rest = per_sample(_norm2(torch.where(at_bound, 0, flat)), flat)
            left = (bound.square() - per_sample(_norm2(kept), flat).square()).clamp_min(0).sqrt()
            larger = torch.where(rest > 0, left / rest.clamp_min(tiny), scale).clamp_max(1).maximum(scale)
            if bool((larger <= scale * (1 + 1e-6)).all()):
                break
            scale = larger
        fits = per_sample(_norm2(clipped), flat) <= bound
        moved = torch.minimum(torch.maximum(scale * flat, low), high)
        return self.project(torch.where(fits, clipped, moved), bound[:, 0]).reshape_as(d)

    def sample(self, like: Tensor, radius: Tensor | float, streams: Streams) -> Tensor:
        """(n, ...) a random direction, with the length of a point that is uniform in the ball."""
        direction = self.steepest(streams.child("direction").normal(like))
        share = streams.child("length").uniform(like.flatten(1)[:, 0]) ** (1 / max(like.flatten(1).shape[1], 1))
        return direction * per_sample(radius, like) * per_sample(share, like)


@dataclass(frozen=True)
class L1:
    """The sum of the changes of all pixels.

    The projection sorts the magnitudes (Duchi et al. 2008, doi:10.1145/1390156.1390191).

    Example:
        >>> L1().project(torch.tensor([[3.0, -1.0]]), 2.0)
        tensor([[2., -0.]])
    """

    name: str = "l1"
    has_slope: bool = True

    def refuses(self, largest: float, domain: tuple[float, float], masked: bool) -> str:
        return ""

    def distance(self, x: Tensor, center: Tensor, domain: tuple[float, float]) -> Tensor:
        return self.size(x.double() - center.double())

    def inside(self, x: Tensor, center: Tensor, radius: Tensor, domain: tuple[float, float]) -> Tensor:
        return _within(self, x, center, radius, domain)

    def size(self, d: Tensor) -> Tensor:
        """(n,) the sum of the magnitudes."""
        return d.flatten(1).abs().sum(1)

    def dual_size(self, g: Tensor) -> Tensor:
        """(n,) the largest magnitude."""
        return g.flatten(1).abs().amax(1)

    def steepest(self, g: Tensor) -> Tensor:
        """(n, ...) the sign of the value with the largest magnitude; zero elsewhere."""
        flat = g.flatten(1)
        where = flat.abs().argmax(1, keepdim=True)
        return torch.zeros_like(flat).scatter(1, where, flat.gather(1, where).sign()).reshape_as(g)

    def project(self, d: Tensor, radius: Tensor | float) -> Tensor:
        """(n, ...) d with one amount taken off all magnitudes, down to 0, where it is too large."""
        flat = d.flatten(1)
        size = flat.abs()
        bound = per_sample(radius, flat).expand(len(flat), 1)
        ordered = size.sort(dim=1, descending=True).values
        rank = torch.arange(1, flat.shape[1] + 1, device=d.device, dtype=d.dtype)
        excess = (ordered.cumsum(1) - bound) / rank
        active = (ordered > excess).sum(1, keepdim=True).clamp_min(1)
        shrink = excess.gather(1, active - 1).clamp_min(0)
        shrunk = flat.sign() * (size - shrink).clamp_min(0)
        # Far from a small ball, size - shrink cancels: what is then too large is scaled back.
        shrunk = shrunk * (bound / shrunk.abs().sum(1, keepdim=True).clamp_min(torch.finfo(d.dtype).tiny)).clamp_max(1)
        return torch.where(size.sum(1, keepdim=True) > bound, shrunk, flat).reshape_as(d)

    def project_box(self, d: Tensor, radius: Tensor | float, low: Tensor, high: Tensor) -> Tensor:
        """The nearest point of the ball with low <= d <= high, where low <= 0 <= high.

        It is clip(soft(d, shrink), low, high) with the smallest shrink that fits: soft takes shrink off every
        magnitude. The size left is linear in shrink between the values where a coordinate leaves its bound or reaches
        0, so it is solved exactly. Projecting on the ball first and clipping after gives a shorter change than the
        budget allows (Croce & Hein 2021, arXiv:2103.01208).

        Example:
            >>> d, low, high = torch.tensor([[3.0, 1.0]]), torch.zeros(1, 2), torch.full((1, 2), 0.5)
            >>> L1().project_box(d, 1.0, low, high)
            tensor([[0.5000, 0.5000]])
        """
        flat = d.flatten(1).double()
        size = flat.abs()
        room = torch.where(d > 0, high, -low).flatten(1).double()
        bound = per_sample(radius, flat).double().expand(len(flat), 1)
        clipped = torch.minimum(size, room)
        at, order = torch.cat([size - clipped, size], 1).sort(dim=1)
        # Number of coordinates that shrink between one of these points and the next.
        moving = torch.where(order < flat.shape[1], 1, -1).cumsum(1)
        lost = torch.nn.functional.pad((moving[:, :-1] * at.diff(dim=1)).cumsum(1), (1, 0))
        left = clipped.sum(1, keepdim=True) - lost
        last = ((left > bound).sum(1, keepdim=True) - 1).clamp_min(0)
        step = (left.gather(1, last) - bound).clamp_min(0) / moving.gather(1, last).clamp_min(1)
        shrink = torch.where(left[:, :1] > bound, at.gather(1, last) + step, 0)
        # Equal magnitudes leave together: what roundings of the input keep of them is not a change.
        noise = torch.finfo(d.dtype).eps * (high - low).flatten(1)
        rest = torch.where((size - shrink <= noise) & (shrink > 0), 0, size - shrink)
        shrunk = flat.sign() * torch.minimum(rest, room)
        return shrunk.to(d.dtype).reshape_as(d)

    def sample(self, like: Tensor, radius: Tensor | float, streams: Streams) -> Tensor:
        """(n, ...) exponential draws over the sum of them and one more, with random signs, times the radius."""
        flat = like.flatten(1)
        parts = -streams.child("size").uniform(flat).log()
        rest = -streams.child("rest").uniform(flat[:, :1]).log()
        sign = torch.where(streams.child("sign").uniform(flat) < 0.5, -1.0, 1.0).to(flat)
        d = sign * parts / (parts.sum(1, keepdim=True) + rest)
        return (d * per_sample(radius, flat)).reshape_as(like)


NORMS: dict[str, Norm] = {"linf": Linf(), "l2": L2(), "l1": L1()}


def as_norm(norm: Norm | str) -> Norm:
    """A norm, or the norm or the family of corruptions of this name. Errors: ValueError for an unknown name.

    Example:
        >>> as_norm("l2").name, as_norm("geometry").has_slope
        ('l2', False)
    """
    if not isinstance(norm, str):
        return norm
    known: dict[str, Norm] = {**NORMS, **FAMILIES}
    if norm not in known:
        raise ValueError(f"unknown norm {norm!r}. {nearest(norm, known)}")
    return known[norm]
