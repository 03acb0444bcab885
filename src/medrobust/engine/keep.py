"""Which visited point to return: a fold over the points of a search, per sample."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..norms import per_sample
from ..threat import Ball
from .ascend import Point


class Kept(NamedTuple):
    """x (n, ...), the rank (n,) by which it was kept, and whether it reached the goal (n,)."""

    x: Tensor
    rank: Tensor
    reached: Tensor


class Keep(Protocol):
    """A rule: how good each point is."""

    @property
    def needs_score(self) -> bool:
        """Whether it looks at the model's answer."""

    def rank(self, point: Point, kept: Kept, ball: Ball) -> Tensor:
        """(n,) the point replaces the kept one where this is larger than the kept rank."""


@dataclass(frozen=True)
class Last:
    """The last point, successful or not: what FGSM, BIM and PGD were published with."""

    needs_score: bool = False

    def rank(self, point: Point, kept: Kept, ball: Ball) -> Tensor:
        return kept.rank.clamp_min(0) + 1


@dataclass(frozen=True)
class Highest:
    """The point of the highest loss."""

    needs_score: bool = True

    def rank(self, point: Point, kept: Kept, ball: Ball) -> Tensor:
        return point.score.value


@dataclass(frozen=True)
class FirstReached:
    """The first point that reaches the goal; the point of the highest loss where none does."""

    needs_score: bool = True

    def rank(self, point: Point, kept: Kept, ball: Ball) -> Tensor:
        won = torch.full_like(kept.rank, torch.inf)
        value = torch.where(point.score.reached, won, point.score.value.to(kept.rank))
        return torch.where(kept.reached, -won, value)


@dataclass(frozen=True)
class SmallestSuccess:
    """The nearest point that reaches the goal; the center where none does (minimal-norm attacks)."""

    needs_score: bool = True

    def rank(self, point: Point, kept: Kept, ball: Ball) -> Tensor:
        return torch.where(point.score.reached, -ball.distance(point.x).to(kept.rank), -torch.inf)


def nothing(ball: Ball) -> Kept:
    """What is kept before the first point: the center, worse than any other."""
    low = torch.full_like(ball.radius, -torch.inf)
    return Kept(ball.center, low, torch.zeros_like(low, dtype=torch.bool))


def update(keep: Keep, kept: Kept, point: Point, ball: Ball) -> Kept:
    """What is kept after one more point."""
    rank = keep.rank(point, kept, ball)
    better = rank > kept.rank
    reached = point.score.reached if keep.needs_score else kept.reached
    x = torch.where(per_sample(better, point.x), point.x, kept.x)
    return Kept(x, torch.where(better, rank, kept.rank), torch.where(better, reached, kept.reached))


def fold(keep: Keep, points: Iterable[Point], ball: Ball) -> Tensor:
    """(n, ...) what is kept of a search."""
    kept = nothing(ball)
    for point in points:
        kept = update(keep, kept, point, ball)
    return kept.x.detach()


last, highest, first_reached, smallest_success = Last(), Highest(), FirstReached(), SmallestSuccess()
KEEPS: dict[str, Keep] = {
    "last": last,
    "highest": highest,
    "first_reached": first_reached,
    "smallest_success": smallest_success,
}
