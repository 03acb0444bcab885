"""Radius rules: minimal-norm attacks shrink the ball where they succeed and grow it where they fail.

Every rule respects the budget of the threat and the size of the domain: no radius is larger than either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..threat import Ball
from .ascend import Point
from .steps import Clock, slope


def limit(ball: Ball) -> Tensor:
    """(n,) the largest radius worth looking at: the budget, or the farthest corner of the domain."""
    return torch.minimum(ball.radius, ball.farthest())


class DdnState(NamedTuple):
    """limit (n,): the largest radius allowed."""

    limit: Tensor


@dataclass(frozen=True)
class Ddn:
    """The radius times 1 - gamma where the point reached the goal, else times 1 + gamma.

    The rule of Rony et al. 2019, arXiv:1811.09600.

    Args:
        gamma: relative change per step.
        first: the first radius, as the Euclidean length of a change of equal size in every pixel, in units of the width
            of the domain: 1 in l2 as published, 1 / sqrt(d) in linf and sqrt(d) in l1 for images of d pixels.
    """

    gamma: float = 0.05
    first: float = 1.0

    def init(self, ball: Ball, num_steps: int) -> tuple[Ball, DdnState]:
        low, high = ball.domain
        num_pixels = ball.center[0].numel() if len(ball.center) else 1
        even = torch.full_like(ball.center, self.first * (high - low) * num_pixels**-0.5)
        bound = limit(ball)
        return ball._replace(radius=torch.minimum(ball.norm.size(even), bound)), DdnState(bound)

    def __call__(self, point: Point, state: DdnState, ball: Ball) -> tuple[Ball, DdnState]:
        radius = ball.radius * torch.where(point.score.reached, 1 - self.gamma, 1 + self.gamma)
        return ball._replace(radius=torch.minimum(radius, state.limit)), state


class Nearest(NamedTuple):
    """limit (n,): the largest radius allowed; best (n,): the smallest distance that reached the goal; found (n,)."""

    clock: Clock
    limit: Tensor
    best: Tensor
    found: Tensor

    @staticmethod
    def start(ball: Ball, num_steps: int) -> Nearest:
        """Nothing found."""
        bound = limit(ball)
        return Nearest(Clock.start(ball, num_steps), bound, bound, torch.zeros_like(bound, dtype=torch.bool))

    def after(self, reached: Tensor, distance: Tensor) -> Nearest:
        """One step later, at a point of this distance that reached the goal or did not."""
        best = torch.where(reached, torch.minimum(distance, self.best), self.best)
        return Nearest(self.clock.tick(), self.limit, best, self.found | reached)


@dataclass(frozen=True)
class Fmn:
    """The linear estimate of the distance to the boundary until a point succeeds; after that, back and forth over it.

    The rule of Pintor et al. 2021, arXiv:2102.12827. Where the point reached the goal: min((1 - gamma) radius, best
    distance). Where it did not but an earlier point did: (1 + gamma) radius. Where none did: ||d|| + (1 + gamma)
    |value| / ||grad||_dual. gamma falls from first to last along half a cosine. The loss must be the margin.

    The paper has no 1 + gamma in the last case: where the margin is concave along the way, its search comes ever
    closer to the boundary and never crosses it.
    """

    first: float = 0.05
    last: float = 0.001

    def init(self, ball: Ball, num_steps: int) -> tuple[Ball, Nearest]:
        return ball._replace(radius=torch.full_like(ball.radius, torch.inf)), Nearest.start(ball, num_steps)

    def __call__(self, point: Point, state: Nearest, ball: Ball) -> tuple[Ball, Nearest]:
        gamma = state.clock.cosine(self.first, self.last)
        reached, distance = point.score.reached, ball.distance(point.x).to(state.limit)
        state = state.after(reached, distance)
        steepness = ball.norm.dual_size(slope(point, ball)).clamp_min(torch.finfo(distance.dtype).tiny)
        to_boundary = point.score.value.abs() / steepness
        away = torch.where(state.found, ball.radius * (1 + gamma), distance + (1 + gamma) * to_boundary)
        radius = torch.where(reached, torch.minimum(ball.radius * (1 - gamma), state.best), away)
        return ball._replace(radius=torch.minimum(radius, state.limit)), state
