"""The linf attack of Carlini & Wagner 2017 that looks for the smallest change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..engine.abilities import Abilities
from ..engine.ascend import Point
from ..engine.keep import Kept
from ..engine.program import Model
from ..engine.steps import slope
from ..engine.tree import choose
from ..goals import GoalRule, or_wrong, untargeted
from ..norms import per_sample
from ..streams import Randomness
from ..threat import Threat
from .carlini_wagner import Adam, confident
from .parts.hyperplanes import room
from .parts.turns import Task, Turn, closest, distance, task, within


class _LinfState(NamedTuple):
    d: Tensor
    adam: Adam
    c: Tensor
    tau: Tensor


@dataclass(frozen=True, kw_only=True)
class CarliniWagnerLinf:
    """The linf attack of Carlini & Wagner 2017 (arXiv:1608.04644), which looks for the smallest change.

    (`cw_linf` is another attack: it has a budget.) Minimizes sum_i max(|d_i| - tau, 0) + c max(-margin(x + d), 0)
    with Adam. Where that is solved, tau shrinks to a share of the largest change and the search goes on from there;
    where num_inner steps do not solve it, c doubles. Everything is per sample.

    Pixels stay in the domain by projection (the first of the paper's three ways): in the variable of `cw_l2` a pixel
    at the edge would need thousands of steps to leave it, and medical images have much black.

    The paper stops at tau = 1/255, above what flips many a medical image: here tau goes down until no constant works.
    The step size is at most tau / 16, or Adam would step over the solution.

    Args:
        num_steps: gradients, at most.
        num_inner: gradients that a constant gets before it is doubled.
        step_size: of Adam, in units of the width of the domain.
        first_constant, largest_constant: range of c.
        shrink: factor of tau.
        goal: see `medrobust.goals`.

    Errors: ValueError for a norm other than linf, or counts below 1.

    Example:
        >>> x = torch.full((1, 1, 2, 2), 0.25)
        >>> x_adv = cw_linf_min()(lambda x: 1.8 - x.flatten(1).sum(1), x, torch.tensor([1]), Threat())
        >>> 0.2 < float((x_adv - x).abs().amax()) < 0.21  # 0.8 / 4
        True
    """

    num_steps: int = 1000
    num_inner: int = 100
    step_size: float = 0.0025
    first_constant: float = 1e-5
    largest_constant: float = 20.0
    shrink: float = 0.9
    goal: GoalRule = untargeted

    @property
    def abilities(self) -> Abilities:
        return Abilities(kind="minimal", norms=("linf",), keeping=self._keeping)

    def _keeping(self) -> CarliniWagnerLinf:
        return replace(self, goal=or_wrong(self.goal))

    def __post_init__(self) -> None:
        if self.num_steps < 1 or self.num_inner < 1:
            raise ValueError(f"num_steps and num_inner must be 1 or more, got {self.num_steps}, {self.num_inner}")

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        generator: Randomness = None,
    ) -> Tensor:
        if threat.norm.name != "linf":
            raise ValueError(f"cw_linf_min is defined for linf, got {threat.norm.name}; for l2 use cw_l2")
        job = task(self.goal, model, x, y, threat)
        return within(job.ball, closest(model, job, self._begin, self._turn, self.num_steps))

    def _begin(self, job: Task) -> _LinfState:
        ball = job.ball
        c = torch.full_like(ball.radius, self.first_constant)
        return _LinfState(torch.zeros_like(ball.center), Adam.start(ball), c, torch.ones_like(c))

    def _turn(self, model: Model, job: Task, state: _LinfState, kept: Kept) -> Turn:
        ball = job.ball
        width = ball.domain[1] - ball.domain[0]
        x = ball.center + state.d
        point = Point(x, confident(model, job.goal, 0.0))
        grad = slope(point, ball)
        change = (x - ball.center) / width
        beyond = change.abs() > per_sample(state.tau, x)
        push = torch.where(point.score.value < 0, state.c, 0)
        by_x = torch.where(beyond, change.sign(), 0) / width - per_sample(push, x) * grad
        # In units of the domain, for Adam compares a gradient with a constant.
        step, adam = state.adam.step(by_x * width)
        size = ball.norm.size(change)
        solved = point.score.reached & (size <= state.tau * 1.001)
        stuck = ~solved & (adam.k == self.num_inner)
        # Adam moves every pixel by about its step size, which must not be coarse beside tau.
        rate = torch.minimum(torch.full_like(size, self.step_size), state.tau / 16)
        low, high = room(ball, ball.center)
        d = (state.d + per_sample(rate * width, x) * step).clamp(low, high)
        best = torch.minimum(distance(kept) / width, torch.where(point.score.reached, size, torch.inf))
        tau = torch.where(solved, self.shrink * torch.minimum(state.tau, best), state.tau)
        c = torch.where(stuck, 2 * state.c, state.c)
        adam = choose(solved | stuck, Adam.start(ball), adam)
        return Turn((point,), _LinfState(d, adam, c, tau), c > self.largest_constant)


cw_linf_min = CarliniWagnerLinf
