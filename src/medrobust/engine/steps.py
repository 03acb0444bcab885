"""Step rules: from a scored point to the next one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..norms import per_sample
from ..threat import Ball
from .ascend import Point


def length(step_size: float | None, relative_step_size: float | None, ball: Ball) -> Tensor:
    """(n,) step size in pixel units: as given, or as a share of each sample's radius."""
    if step_size is not None:
        return torch.full_like(ball.radius, step_size)
    return ball.radius * (1.0 if relative_step_size is None else relative_step_size)


@dataclass(frozen=True)
class Steepest:
    """x + step_size * steepest(grad), back into the ball (FGSM, BIM, PGD).

    Args:
        step_size: in pixel units; or
        relative_step_size: a share of each sample's epsilon.
    """

    step_size: float | None = None
    relative_step_size: float | None = None

    def init(self, ball: Ball, num_steps: int) -> Tensor:
        return length(self.step_size, self.relative_step_size, ball)

    def __call__(self, point: Point, state: Tensor, ball: Ball) -> tuple[Tensor, Tensor]:
        return ball.project(point.x + per_sample(state, point.x) * ball.norm.steepest(point.grad)), state


@dataclass(frozen=True)
class Momentum:
    """Steps along the decayed sum of l1-normalized gradients (MI-FGSM; Dong et al. 2018, arXiv:1710.06081)."""

    step_size: float | None = None
    relative_step_size: float | None = None
    decay: float = 1.0

    def init(self, ball: Ball, num_steps: int) -> tuple[Tensor, Tensor]:
        return length(self.step_size, self.relative_step_size, ball), torch.zeros_like(ball.center)

    def __call__(self, point: Point, state: tuple[Tensor, Tensor], ball: Ball) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        size, velocity = state
        mean = point.grad.flatten(1).abs().mean(1).clamp_min(torch.finfo(velocity.dtype).tiny)
        velocity = self.decay * velocity + point.grad / per_sample(mean, velocity)
        x = ball.project(point.x + per_sample(size, velocity) * ball.norm.steepest(velocity))
        return x, (size, velocity)


def cosine(k: Tensor, num_steps: int, first: float, last: float) -> Tensor:
    """(n,) from first at k = 0 to last at k = num_steps, along half a cosine."""
    return last + (first - last) * (1 + torch.cos(math.pi * k / num_steps)) / 2
