"""The l2 attack of Carlini & Wagner 2017: a penalty instead of a projection, in a variable that stays in the domain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..engine.abilities import Abilities
from ..engine.ascend import Objective, Point, Score
from ..engine.keep import Kept
from ..engine.program import Model
from ..engine.steps import slope
from ..engine.tree import choose
from ..goals import Goal, GoalRule, or_wrong, untargeted
from ..losses import lead, margin
from ..norms import per_sample
from ..streams import Randomness
from ..threat import Ball, Threat
from .parts.turns import PenaltyWeight, Task, Turn, closest, task, within


class Adam(NamedTuple):
    """Adam's memory, per sample: first and second moments (n, ...), steps done (n,).

    Kingma & Ba 2015, arXiv:1412.6980.
    """

    first: Tensor
    second: Tensor
    k: Tensor

    @staticmethod
    def start(ball: Ball) -> Adam:
        """The memory before the first step."""
        return Adam(torch.zeros_like(ball.center), torch.zeros_like(ball.center), torch.zeros_like(ball.radius))

    def step(self, grad: Tensor) -> tuple[Tensor, Adam]:
        """The step for a learning rate of 1, and the memory after it."""
        first, second, k = 0.9 * self.first + 0.1 * grad, 0.999 * self.second + 0.001 * grad.square(), self.k + 1
        mean, spread = first / per_sample(1 - 0.9**k, grad), second / per_sample(1 - 0.999**k, grad)
        return -mean / (spread.sqrt() + 1e-8), Adam(first, second, k)


def to_image(w: Tensor, ball: Ball) -> Tensor:
    """The image (n, ...) of the variable w (n, ...): in the domain whatever w is, unchanged outside the mask."""
    low, high = ball.domain
    x = (low + (high - low) * (torch.tanh(w) + 1) / 2).clamp(low, high)
    return x if ball.mask is None else torch.where(ball.mask, x, ball.center)


def from_image(x: Tensor, ball: Ball) -> Tensor:
    """The variable w (n, ...) whose image is x (n, ...)."""
    low, high = ball.domain
    # 1 - 1e-6: at the edge itself the variable is infinite and its gradient zero.
    return torch.atanh((2 * (x - low) / (high - low) - 1) * (1 - 1e-6))


def through(grad: Tensor, x: Tensor, ball: Ball) -> Tensor:
    """The gradient (n, ...) with respect to w, from that with respect to x = to_image(w): the chain rule."""
    low, high = ball.domain
    return grad * 2 * (x - low) * (high - x) / (high - low)


def confident(model: Model, goal: Goal, confidence: float) -> Objective:
    """The margin as the objective; a success needs a margin of at least `confidence`."""

    def objective(x: Tensor) -> Score:
        logits = model(x)
        sure = lead(logits, goal) >= confidence
        return Score(margin(logits, goal), logits, goal.reached(logits) & sure)

    return objective


class _L2State(NamedTuple):
    w: Tensor
    adam: Adam
    constant: PenaltyWeight
    searches: Tensor
    won: Tensor
    before: Tensor


@dataclass(frozen=True, kw_only=True)
class CarliniWagnerL2:
    """The l2 attack of Carlini & Wagner 2017 (arXiv:1608.04644).

    Minimizes ||d||_2^2 + c max(confidence - margin(x + d), 0) with Adam, where x + d = low + width (tanh(w) + 1) / 2
    stays in the domain; c is the smallest that wins: times 10 until one does, then by halves. Everything is per
    sample: c, Adam's memory, early abort. Returns the nearest point that reached the goal; beyond a finite epsilon,
    its projection.

    Args:
        num_steps: gradients of one search, at most (the paper: up to 10,000).
        num_searches: constants tried.
        step_size: of Adam, in w.
        first_constant: c of the first search, for d in units of the width of the domain.
        confidence: margin that a success needs.
        abort_early: end a search whose loss has not fallen by 0.01 % in a tenth of num_steps.
        goal: see `medrobust.goals`.

    Errors: ValueError for a norm other than l2, or counts below 1.

    Example:
        >>> from medrobust.norms import L2
        >>> x = torch.full((1, 1, 2, 2), 0.25)
        >>> x_adv = cw_l2()(lambda x: 1.8 - x.flatten(1).sum(1), x, torch.tensor([1]), Threat(norm=L2()))
        >>> round(float((x_adv - x).norm()), 2)  # 0.8 / sqrt(4)
        0.4
    """

    num_steps: int = 200
    num_searches: int = 9
    step_size: float = 0.01
    first_constant: float = 1e-3
    confidence: float = 0.0
    abort_early: bool = True
    goal: GoalRule = untargeted

    @property
    def abilities(self) -> Abilities:
        return Abilities(kind="minimal", norms=("l2",), keeping=self._keeping)

    def _keeping(self) -> CarliniWagnerL2:
        return replace(self, goal=or_wrong(self.goal))

    def __post_init__(self) -> None:
        if self.num_steps < 1 or self.num_searches < 1:
            raise ValueError(f"num_steps and num_searches must be 1 or more, got {self.num_steps}, {self.num_searches}")

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        generator: Randomness = None,
    ) -> Tensor:
        if threat.norm.name != "l2":
            raise ValueError(f"cw_l2 is defined for l2, got {threat.norm.name}; for linf use cw_linf_min")
        job = task(self.goal, model, x, y, threat)
        kept = closest(model, job, self._begin, self._turn, self.num_steps * self.num_searches)
        return within(job.ball, kept)

    def _begin(self, job: Task) -> _L2State:
        like = job.ball.radius
        constant = PenaltyWeight.start(self.first_constant, like)
        won = torch.zeros_like(like, dtype=torch.bool)
        w = from_image(job.ball.center, job.ball)
        return _L2State(
            w, Adam.start(job.ball), constant, torch.zeros_like(like), won, torch.full_like(like, torch.inf)
        )

    def _turn(self, model: Model, job: Task, state: _L2State, kept: Kept) -> Turn:
        ball = job.ball
        width = ball.domain[1] - ball.domain[0]
        x = to_image(state.w, ball)
        point = Point(x, confident(model, job.goal, self.confidence))
        grad = slope(point, ball)
        change = (x - ball.center) / width
        missing = (self.confidence - point.score.value).clamp_min(0)
        loss = change.flatten(1).square().sum(1) + state.constant.c * missing
        push = torch.where(missing > 0, state.constant.c, 0)
        step, adam = state.adam.step(through(2 * change / width - per_sample(push, x) * grad, x, ball))
        won = state.won | point.score.reached
        look = (state.adam.k % max(self.num_steps // 10, 1) == 0) & self.abort_early
        stuck = look & (loss > 0.9999 * state.before)
        state = state._replace(
            w=state.w + self.step_size * step, adam=adam, won=won, before=torch.where(look, loss, state.before)
        )
        over = stuck | (adam.k == self.num_steps)
        if bool(over.any()):
            fresh = self._begin(job)._replace(constant=state.constant.after(won), searches=state.searches + 1)
            state = choose(over, fresh, state)
        return Turn((point,), state, state.searches == self.num_searches)


cw_l2 = CarliniWagnerL2
