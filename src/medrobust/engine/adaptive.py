"""The step rules of Auto-PGD: no step size to choose. All state is per sample, so lanes of any age share a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ..norms import L1, Linf, per_sample
from ..streams import Streams
from ..threat import Ball
from .abilities import StepAbilities
from .ascend import Point


def far_point(ball: Ball, streams: Streams) -> Tensor:
    """A random allowed point as far out as the ball goes: where Auto-PGD starts, unlike PGD."""
    low, high = ball.domain
    t = 2 * streams.uniform(ball.center) - 1 if isinstance(ball.norm, Linf) else streams.normal(ball.center)
    if ball.mask is not None:
        t = torch.where(ball.mask, t, 0)
    if isinstance(ball.norm, L1):
        return ball.project(ball.center + (high - low) * t)
    tiny = torch.finfo(t.dtype).tiny
    return ball.project(ball.center + per_sample(ball.radius / ball.norm.size(t).clamp_min(tiny), t) * t)


class Best(NamedTuple):
    """The point (n, ...) of the highest value so far, its gradient (n, ...) and its value (n,)."""

    x: Tensor
    grad: Tensor
    value: Tensor

    def updated(self, point: Point, ball: Ball) -> Best:
        """The better of this one and point, per sample."""
        value = point.score.value.to(self.value.dtype)
        up = value > self.value
        wide = per_sample(up, point.x)
        return Best(
            torch.where(wide, point.x, self.x),
            torch.where(wide, point.grad, self.grad),
            torch.where(up, value, self.value),
        )


def _nothing(ball: Ball) -> Best:
    return Best(ball.center, torch.zeros_like(ball.center), torch.full_like(ball.radius, -torch.inf))


def _count(ball: Ball, value: int) -> Tensor:
    return torch.full_like(ball.radius, value, dtype=torch.long)


class PlateauState(NamedTuple):
    """All per sample, (n,) but for previous (n, ...).

    age: steps done; checked: age at the last check; window: steps from that check to the next, less `shrink` after each
    but never below `shortest`; rises: how often the value has risen since the check; value, previous: of the step
    before; best_then: the best value at the check; halved: whether the check halved the step size.
    """

    age: Tensor
    checked: Tensor
    window: Tensor
    shrink: Tensor
    shortest: Tensor
    rises: Tensor
    step_size: Tensor
    value: Tensor
    previous: Tensor
    best: Best
    best_then: Tensor
    halved: Tensor


@dataclass(frozen=True)
class Plateau:
    """Momentum; on a plateau, half the step size and back to the best point (Croce & Hein 2020, arXiv:2003.01690).

        z = project(x + step_size * steepest(grad));  x <- project(x + alpha (z - x) + (1 - alpha) (x - x_before))

    The first step size is 2 epsilon. The first checkpoint is after 22 % of the steps; each window after it is shorter
    by 3 % of the steps, down to 6 %. There the step size is halved if the value rose in at most rho of the steps of the
    window, or if neither the step size nor the best value has changed since the checkpoint before.

    Where the authors' code differs from their text, this follows the code: the first value of the first window is
    compared with 0, not with the value of the start. It matters rarely, and only for losses that can be negative.
    """

    rho: float = 0.75
    alpha: float = 0.75

    def init(self, ball: Ball, num_steps: int) -> PlateauState:
        zero, none = torch.zeros_like(ball.radius), torch.ones_like(ball.radius, dtype=torch.bool)
        window, shrink, shortest = (_count(ball, max(int(share * num_steps), 1)) for share in (0.22, 0.03, 0.06))
        counts = (_count(ball, 0), _count(ball, 0), window, shrink, shortest, _count(ball, 0))
        return PlateauState(*counts, 2 * ball.radius, zero, ball.center, _nothing(ball), zero, none)

    def __call__(self, point: Point, state: PlateauState, ball: Ball) -> tuple[Tensor, PlateauState]:
        s = state
        value = point.score.value.to(s.value.dtype)
        first = s.age == 0
        best = s.best.updated(point, ball)
        rises = s.rises + ((value > s.value) & ~first)
        due = s.age - s.checked == s.window
        stalled = due & ((rises <= self.rho * s.window) | (~s.halved & (s.best_then >= best.value)))
        back = per_sample(stalled, point.x)
        x, grad = torch.where(back, best.x, point.x), torch.where(back, best.grad, point.grad)
        step_size = torch.where(stalled, s.step_size / 2, s.step_size)
        z = ball.project(x + per_sample(step_size, x) * ball.steepest(grad, x))
        # A search has no momentum before its second step.
        alpha = per_sample(torch.where(first, 1.0, self.alpha).to(x), x)
        before = torch.where(per_sample(first, x), x, s.previous)
        after = ball.project(x + alpha * (z - x) + (1 - alpha) * (x - before))
        return after, PlateauState(
            age=s.age + 1,
            checked=torch.where(due, s.age, s.checked),
            window=torch.where(due, torch.maximum(s.window - s.shrink, s.shortest), s.window),
            shrink=s.shrink,
            shortest=s.shortest,
            rises=torch.where(due, 0, rises),
            step_size=step_size,
            value=torch.where(first, 0, value),
            previous=x,
            best=best,
            best_then=torch.where(due | first, best.value, s.best_then),
            halved=torch.where(due, stalled, s.halved),
        )


class SparseState(NamedTuple):
    """All per sample, (n,). age, checked, window: as in PlateauState.

    share: share of the allowed pixels that the next step changes; changed: how many pixels the best point of the last
    check changed.
    """

    age: Tensor
    checked: Tensor
    window: Tensor
    step_size: Tensor
    share: Tensor
    changed: Tensor
    best: Best


@dataclass(frozen=True)
class Sparse:
    """Sign steps on the steepest pixels only, for l1 (Croce & Hein 2021, arXiv:2103.01208, algorithm 2).

    A step changes two thirds as many pixels as the best point does, all by the same amount, at first epsilon in sum.
    Every 4 % of the steps, a search whose best point has become sparser by 5 % goes back to it with the full step size;
    any other divides its step size by 1.5, down to a tenth of epsilon. Beyond the paper: where the best point changes
    two pixels, every other step changes one, or no search would ever end with one.

    Args:
        first_share: share of the pixels that the first steps change; None takes it from the start, which must then be
            a good one.
    """

    first_share: float | None = 0.2

    def init(self, ball: Ball, num_steps: int) -> SparseState:
        window = _count(ball, max(int(0.04 * num_steps), 1))
        share = torch.full_like(ball.radius, self.first_share or 0.0)
        counts = (_count(ball, 0), _count(ball, 0), window)
        return SparseState(*counts, ball.radius.clone(), share, self._free(ball).to(share), _nothing(ball))

    @staticmethod
    def _free(ball: Ball) -> Tensor:
        return (torch.ones_like(ball.center, dtype=torch.bool) if ball.mask is None else ball.mask).flatten(1).sum(1)

    @staticmethod
    def _steepest(grad: Tensor, share: Tensor) -> Tensor:
        """Signs of the steepest share of the pixels that can move, 1 in sum; those that cannot have gradient 0."""
        flat = grad.flatten(1)
        free = (flat != 0).sum(1).clamp_min(1)
        rank = ((1 - share) * free).clamp_min(0).minimum(free - 1).long() + flat.shape[1] - free
        limit = flat.abs().sort(1).values.gather(1, rank.clamp(0, flat.shape[1] - 1)[:, None])
        signs = torch.where(flat.abs() >= limit, flat.sign(), 0)
        return (signs / (signs.abs().sum(1, keepdim=True) + 1e-10)).reshape_as(grad)

    def __call__(self, point: Point, state: SparseState, ball: Ball) -> tuple[Tensor, SparseState]:
        s, free = state, self._free(ball)
        best = s.best.updated(point, ball)
        changed, share, step_size = s.changed, s.share, s.step_size
        due = s.age - s.checked == s.window
        changes = (best.x != ball.center).flatten(1).sum(1).to(changed)
        if self.first_share is None:
            first = s.age == 0
            changed = torch.where(first, changes, changed)
            share = torch.where(first, changes / free / 1.5, share)
        sparser = due & (changes / changed < 0.95)
        share = torch.where(due, changes / free / 1.5, share)
        step_size = torch.where(due, (step_size / 1.5).maximum(ball.radius / 10), step_size)
        step_size = torch.where(sparser, ball.radius, step_size)
        back = per_sample(sparser, point.x)
        x, grad = torch.where(back, best.x, point.x), torch.where(back, best.grad, point.grad)
        changed = torch.where(due, changes, changed)
        # Two thirds of two pixels, rounded up as published, are two for ever: try one in every other step.
        alone = (changed <= 2) & (s.age % 2 == 1)
        after = ball.project(
            x + per_sample(step_size, x) * self._steepest(ball.free(grad, x), torch.where(alone, 0.5 / free, share))
        )
        return after, SparseState(
            age=s.age + 1,
            checked=torch.where(due, s.age, s.checked),
            window=s.window,
            step_size=step_size,
            share=share,
            changed=changed,
            best=best,
        )


@dataclass(frozen=True)
class Adaptive:
    """The step of Auto-PGD: Plateau for linf and l2, Sparse for l1."""

    plateau: Plateau = Plateau()
    sparse: Sparse = Sparse()
    abilities: ClassVar[StepAbilities] = StepAbilities()

    def init(self, ball: Ball, num_steps: int) -> PlateauState | SparseState:
        rule = self.sparse if isinstance(ball.norm, L1) else self.plateau
        return rule.init(ball, num_steps)

    def __call__(
        self, point: Point, state: PlateauState | SparseState, ball: Ball
    ) -> tuple[Tensor, PlateauState | SparseState]:
        if isinstance(state, SparseState):
            return self.sparse(point, state, ball)
        return self.plateau(point, state, ball)
