"""A minimal-norm search that walks on the boundary: Newton's method finds the radius, sign steps turn the direction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..engine.abilities import StepAbilities
from ..engine.ascend import Point
from ..engine.keep import smallest_success
from ..engine.program import Program
from ..engine.radii import Nearest
from ..engine.steps import Clock, slope
from ..goals import GoalRule, untargeted
from ..losses import margin, soft_margin
from ..norms import L2, per_sample
from ..threat import Ball

EARLY_SHARE = 0.1  # of the steps, in which the class to go to is chosen
DECAY = {"linf": 0.75, "l2": 0.5, "l1": 0.5}
_L2 = L2()


@dataclass(frozen=True)
class Newton:
    """The radius at which the margin, linear at the point, is zero: ||d|| - margin / ||grad||_dual.

    Where the point reached the goal: at least (1 - gamma) times the radius, at most the best distance. Where it did
    not but an earlier point did: at first half way there, for the next steps raise the margin too, at last a tenth
    beyond, but at most (1 + gamma) times the radius. Where none did: a tenth beyond. gamma falls from first to last
    along half a cosine. The loss must be the margin.
    """

    first: float = 0.1
    last: float = 0.001

    def init(self, ball: Ball, num_steps: int) -> tuple[Ball, Nearest]:
        state = Nearest.start(ball, num_steps)
        return ball._replace(radius=state.limit), state

    def __call__(self, point: Point, state: Nearest, ball: Ball) -> tuple[Ball, Nearest]:
        clock = state.clock
        gamma = clock.cosine(self.first, self.last)
        reached, distance = point.score.reached, ball.distance(point.x).to(state.limit)
        state = state.after(reached, distance)
        beyond = point.score.value / ball.norm.dual_size(slope(point, ball)).clamp_min(torch.finfo(distance.dtype).tiny)
        inside = torch.maximum(distance - beyond, (1 - gamma) * torch.minimum(ball.radius, state.best))
        # On the boundary itself, where the margin is 0, a point has not reached the goal either.
        short = torch.maximum(-clock.cosine(0.5, 1.1) * beyond, 1e-5 * ball.radius)
        farther = ball.radius + torch.minimum(short, gamma * ball.radius)
        outside = torch.where(state.found, farther, distance - 1.1 * beyond)
        radius = torch.minimum(torch.where(reached, inside, outside), state.best)
        return ball._replace(radius=torch.minimum(radius, state.limit)), state


@dataclass(frozen=True)
class AnnealedMomentum:
    """Steps of a multiple of the radius along the steepest direction of the decayed sum of normalized gradients.

    In l1, where that is one pixel after the other, steps are Euclidean: along the sum itself, in multiples of the
    Euclidean length of a change that takes as many pixels as the radius allows from one end of the domain to the other.

    Args:
        first, last: multiples, along half a cosine; the very first step is one.
        decay: of the sum; None for 0.75 in linf and 0.5 in l2 and l1.
    """

    first: float
    last: float
    decay: float | None
    abilities: ClassVar[StepAbilities] = StepAbilities()

    def init(self, ball: Ball, num_steps: int) -> tuple[Clock, Tensor]:
        return Clock.start(ball, num_steps), torch.zeros_like(ball.center)

    def __call__(self, point: Point, state: tuple[Clock, Tensor], ball: Ball) -> tuple[Tensor, tuple[Clock, Tensor]]:
        clock, velocity = state
        decay = DECAY[ball.norm.name] if self.decay is None else self.decay
        share = torch.where(clock.k == 0, 1.0, clock.cosine(self.first, self.last))
        sparse = ball.norm.name == "l1"
        norm, grad = (_L2, ball.may(point.grad)) if sparse else (ball.norm, slope(point, ball))
        tiny = torch.finfo(grad.dtype).tiny
        velocity = decay * velocity + grad / per_sample(norm.dual_size(grad).clamp_min(tiny), grad)
        if sparse:
            low, high = ball.domain
            length = share * torch.minimum(ball.radius, (ball.radius * (high - low)).sqrt())
            # Pixels at their edge are pushed as well, or projecting on the ball would take them away from it.
            step = velocity / per_sample(norm.size(ball.free(velocity, point.x)).clamp_min(tiny), grad)
            x = point.x + per_sample(length, grad) * step
        else:
            x = point.x + per_sample(share * ball.radius, grad) * ball.steepest(velocity, point.x)
        return ball.project(x), (clock.tick(), velocity)


def smallest(
    *,
    num_steps: int = 50,
    step_size: float = 3.0,
    last_step_size: float = 0.01,
    decay: float | None = None,
    goal: GoalRule = untargeted,
) -> Program:
    """The smallest change in linf, l2 or l1, with momentum along the boundary and Newton's method for the radius.

    FMN (Pintor et al. 2021, arXiv:2102.12827) with three rules changed. The radius follows the linear estimate of the
    distance to the boundary on both sides of it instead of a fixed rate. Steps go along the steepest direction of the
    norm with momentum, their length a multiple of that radius; long ones at first leave poor directions. The first
    tenth of the steps climbs the soft margin: the class with the best logit is often not the nearest, and a search
    rarely leaves the class that it began with. No step size depends on the number of pixels, on how far the boundary is
    or on the scale of the logits.

    Returns the nearest point that reached the goal, the image itself where none did. A finite epsilon bounds the
    radius.

    Args:
        num_steps: gradient steps; one more forward scores the last point.
        step_size, last_step_size: first and last, multiples of the radius.
        decay: of the momentum; by default 0.75 in linf and 0.5 in l2 and l1.
        goal: see `medrobust.goals`.

    Errors: ValueError when num_steps < 1.

    Example:
        >>> from medrobust.threat import Threat
        >>> x = torch.full((1, 1, 2, 2), 0.25)
        >>> x_adv = smallest()(lambda x: 1.8 - x.flatten(1).sum(1), x, torch.tensor([1]), Threat())
        >>> round(float((x_adv - x).abs().amax()), 3)  # 0.8 / 4
        0.2
    """
    step = AnnealedMomentum(step_size, last_step_size, decay)
    early = math.ceil(EARLY_SHARE * num_steps)
    return Program(
        step=step,
        num_steps=num_steps,
        goal=goal,
        loss=margin,
        keep=smallest_success,
        radius=Newton(),
        early_loss=soft_margin,
        early_steps=early,
    )
