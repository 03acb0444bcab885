"""Step rules: from a scored point to the next one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ..norms import L2, per_sample
from ..threat import Ball
from .abilities import StepAbilities
from .ascend import Point

_L2 = L2()


def _steady(step_size: float | None, relative_step_size: float | None) -> StepAbilities:
    """The abilities of a rule whose steps all have one length."""

    def stride(epsilon: float) -> float:
        if step_size is not None:
            return step_size
        return epsilon * (1.0 if relative_step_size is None else relative_step_size)

    return StepAbilities(steady=True, stride=stride)


def length(step_size: float | None, relative_step_size: float | None, ball: Ball) -> Tensor:
    """(n,) step size in pixel units: as given, or as a share of each sample's radius."""
    if step_size is not None:
        return torch.full_like(ball.radius, step_size)
    return ball.radius * (1.0 if relative_step_size is None else relative_step_size)


@dataclass(frozen=True)
class Steepest:
    """x + step_size * steepest(grad), back into the ball (FGSM, BIM, PGD).

    Args:
        step_size: in pixel units.
        relative_step_size: the same as a share of each sample's epsilon; 1 where neither is given.
    """

    step_size: float | None = None
    relative_step_size: float | None = None

    @property
    def abilities(self) -> StepAbilities:
        return _steady(self.step_size, self.relative_step_size)

    def init(self, ball: Ball, num_steps: int) -> Tensor:
        return length(self.step_size, self.relative_step_size, ball)

    def __call__(self, point: Point, state: Tensor, ball: Ball) -> tuple[Tensor, Tensor]:
        move = ball.move(point.grad, point.x, state)
        return ball.project(move.add_(point.x)), state


@dataclass(frozen=True)
class Momentum:
    """Steps along the decayed sum of l1-normalized gradients (MI-FGSM; Dong et al. 2018, arXiv:1710.06081).

    Args:
        step_size, relative_step_size: as in Steepest.
        decay: factor of the sum per step.
    """

    step_size: float | None = None
    relative_step_size: float | None = None
    decay: float = 1.0

    @property
    def abilities(self) -> StepAbilities:
        return _steady(self.step_size, self.relative_step_size)

    def init(self, ball: Ball, num_steps: int) -> tuple[Tensor, Tensor]:
        return length(self.step_size, self.relative_step_size, ball), torch.zeros_like(ball.center)

    def __call__(self, point: Point, state: tuple[Tensor, Tensor], ball: Ball) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        size, velocity = state
        mean = point.grad.flatten(1).abs().mean(1).clamp_min(torch.finfo(velocity.dtype).tiny)
        velocity = (self.decay * velocity).add_(point.grad / per_sample(mean, velocity))
        move = ball.move(velocity, point.x, size)
        return ball.project(move.add_(point.x)), (size, velocity)


class Clock(NamedTuple):
    """How far each sample is: k (n,) steps done of num_steps (n,), for lanes of different age run in one batch."""

    k: Tensor
    num_steps: Tensor

    @staticmethod
    def start(ball: Ball, num_steps: int) -> Clock:
        """No step done yet."""
        zero = torch.zeros_like(ball.radius)
        return Clock(zero, zero + num_steps)

    def tick(self) -> Clock:
        """One more step done by every sample."""
        return self._replace(k=self.k + 1)

    def cosine(self, first: float, last: float) -> Tensor:
        """(n,) from first at k = 0 to last at k = num_steps, along half a cosine."""
        return last + (first - last) * (1 + torch.cos(math.pi * self.k / self.num_steps)) / 2


def slope(point: Point, ball: Ball) -> Tensor:
    """The gradient at a point, as far as its pixels can follow it; see Ball.free."""
    return ball.free(point.grad, point.x)


@dataclass(frozen=True)
class CosineL2:
    """A step of annealed Euclidean length along the gradient, in every norm.

    d <- d + size * grad / ||grad||_2 with d = x - center, then into the ball: the step of DDN (Rony et al. 2019,
    arXiv:1811.09600) and FMN (Pintor et al. 2021, arXiv:2102.12827).

    Args:
        first, last: length of the first and the last step, in units of the width of the domain.
        onto_sphere: scale d up to the radius where it is shorter, so that every point lies on the sphere (DDN).
    """

    first: float = 1.0
    last: float = 0.01
    onto_sphere: bool = False
    abilities: ClassVar[StepAbilities] = StepAbilities()

    def init(self, ball: Ball, num_steps: int) -> Clock:
        return Clock.start(ball, num_steps)

    def __call__(self, point: Point, state: Clock, ball: Ball) -> tuple[Tensor, Clock]:
        low, high = ball.domain
        size = (high - low) * state.cosine(self.first, self.last)
        d = point.x - ball.center + per_sample(size, point.x) * _L2.steepest(slope(point, ball))
        if self.onto_sphere:
            reach = ball.norm.size(d)
            d = d * per_sample((ball.radius / reach.clamp_min(torch.finfo(d.dtype).tiny)).clamp_min(1), d)
        return ball.project(ball.center + d), state.tick()


@dataclass(frozen=True)
class CosineThenSteepest:
    """`CosineL2` at first, steps along the steepest direction of the norm later, in linf and l2.

    x <- project(x + size * radius * steepest(grad)), size from `share` at k = 0 to `last` along half a cosine.
    Where the boundary has been found, the radius says how long a step should be, and in linf the sign moves the pixels
    that a Euclidean step leaves behind.

    Args:
        first, last: as in `CosineL2`; last is also the last `size` of the later steps.
        after: share of the steps that are those of `CosineL2`.
        share: the `size` that the later steps would have at k = 0, as a share of the radius.
    """

    first: float = 1.0
    last: float = 0.01
    after: float = 0.3
    share: float = 0.5
    abilities: ClassVar[StepAbilities] = StepAbilities()

    def init(self, ball: Ball, num_steps: int) -> Clock:
        return Clock.start(ball, num_steps)

    def __call__(self, point: Point, state: Clock, ball: Ball) -> tuple[Tensor, Clock]:
        early, clock = CosineL2(self.first, self.last)(point, state, ball)
        if ball.norm.name == "l1":  # its steepest direction is one pixel
            return early, clock
        size = ball.radius * state.cosine(self.share, self.last)
        late = ball.project(point.x + per_sample(size, point.x) * ball.steepest(point.grad, point.x))
        return torch.where(per_sample(state.k < self.after * state.num_steps, late), early, late), clock
