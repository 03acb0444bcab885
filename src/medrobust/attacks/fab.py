"""Fast adaptive boundary: projections onto the linearized boundary, pulled towards the image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..engine.abilities import Abilities
from ..engine.ascend import Point, against
from ..engine.keep import Kept, nothing
from ..engine.program import Model
from ..engine.tree import choose
from ..goals import GoalRule, Towards, as_classes, or_wrong, untargeted
from ..losses import margin
from ..norms import per_sample
from ..streams import Randomness, Streams, as_streams
from ..threat import Ball, Threat
from .parts.hyperplanes import nearest_boundary, rivals, room, shortest
from .parts.turns import Task, Turn, closest, distance, task, tighten, within


class FabState(NamedTuple):
    """x (n, ...), the steps and restarts done (n,), the rivals (n, m), and each sample's random numbers."""

    x: Tensor
    k: Tensor
    restart: Tensor
    candidates: Tensor
    streams: Streams


@dataclass(frozen=True, kw_only=True)
class Fab:
    """Fast adaptive boundary attack for linf, l2 and l1 (Croce & Hein 2020, arXiv:1907.02044).

    x <- (1 - a)(x + eta d(x)) + a (x0 + eta d(x0)), where d(z) is the shortest way from z, inside the domain, to the
    linear picture of the boundary of the nearest rival class at x, and a = min(||d(x)|| / (||d(x)|| + ||d(x0)||),
    alpha). A point that reached the goal goes back: x <- x0 + beta (x - x0). Ends with a search on the segment between
    the image and the nearest success. With a target (`goal=Towards(k)`), only the boundary between the label and the
    target counts.

    Args:
        num_steps: each costs 2 forwards, and a backward per rival class: 1 with two classes, one logit, or a target.
        num_restarts: the first from the image, the others from random points half as far as the best success.
        num_classes: rival classes looked at, the most likely ones (the paper: all).
        eta: overshoot.
        alpha: largest pull towards the image.
        beta: share of the change that is left after a success.
        num_final: forwards of the final search.
        goal: see `medrobust.goals`.

    Errors: ValueError for counts below 1.

    Example:
        >>> x = torch.full((1, 1, 2, 2), 0.25)
        >>> x_adv = fab(num_steps=5)(lambda x: 1.8 - x.flatten(1).sum(1), x, torch.tensor([1]), Threat())
        >>> round(float((x_adv - x).abs().amax()), 3)  # 0.8 / 4
        0.2
    """

    num_steps: int = 100
    num_restarts: int = 1
    num_classes: int = 9
    eta: float = 1.05
    alpha: float = 0.1
    beta: float = 0.9
    num_final: int = 3
    goal: GoalRule = untargeted

    @property
    def abilities(self) -> Abilities:
        return Abilities(kind="minimal", randomized=self.num_restarts > 1, keeping=self._keeping)

    def _keeping(self) -> Fab:
        return replace(self, goal=or_wrong(self.goal))

    def __post_init__(self) -> None:
        for name in ("num_steps", "num_restarts", "num_classes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        generator: Randomness = None,
    ) -> Tensor:
        job = task(self.goal, model, x, y, threat)
        return within(job.ball, self.search(model, job, as_streams(generator, len(x), x.device).child("fab")))

    def search(self, model: Model, job: Task, streams: Streams) -> Kept:
        """The nearest success of a batch whose clean logits are known."""

        def begin(job: Task) -> FabState:
            zero = torch.zeros_like(job.ball.radius, dtype=torch.int64)
            return FabState(job.ball.center, zero, zero, rivals(job.logits, job.goal, self.num_classes), streams)

        found = closest(model, job, begin, self._turn, self.num_steps * self.num_restarts)
        return tighten(model, job, found, self.num_final)

    def _turn(self, model: Model, job: Task, state: FabState, kept: Kept) -> Turn:
        ball, center = job.ball, job.ball.center
        gap, slope = nearest_boundary(model, state.x, job.goal, ball, state.candidates)[1:]
        # The overshoot is part of the way, so that the domain does not clip it.
        from_x = shortest(ball.norm, slope, -self.eta * gap, *room(ball, state.x))
        back = (slope * (center - state.x)).flatten(1).sum(1)
        from_center = shortest(ball.norm, slope, -self.eta * (gap + back), *room(ball, center))
        least = 1e-8 * (ball.domain[1] - ball.domain[0])
        near, far = ball.norm.size(from_x).clamp_min(least), ball.norm.size(from_center).clamp_min(least)
        pull = per_sample((near / (near + far)).clamp_max(self.alpha), center)
        x = (1 - pull) * (state.x + from_x) + pull * (center + from_center)
        x = _allowed(ball, x)
        point = Point(x, against(model, job.goal, margin))
        x = choose(point.score.reached, _allowed(ball, center + self.beta * (x - center)), x)
        k = state.k + 1
        over = k == self.num_steps
        restart = state.restart + over
        state = state._replace(x=x, k=torch.where(over, 0, k), restart=restart)
        if self.num_restarts > 1 and bool(over.any()):
            state = state._replace(x=choose(over, _random_start(ball, kept, state), x))
        return Turn((point,), state, restart == self.num_restarts)


def _allowed(ball: Ball, x: Tensor) -> Tensor:
    x = x.clamp(*ball.domain)
    return x if ball.mask is None else torch.where(ball.mask, x, ball.center)


def _random_start(ball: Ball, kept: Kept, state: FabState) -> Tensor:
    """A point in a random direction, half as far as the best success so far, or half of epsilon where that is less.

    Never farther than a quarter of the way to the farthest corner of the domain.
    """
    reach = torch.minimum(torch.minimum(distance(kept), ball.radius), ball.farthest() / 2) / 2
    sample = ball.norm.sample(ball.center, 1.0, state.streams.child("restart", state.restart))
    if ball.mask is not None:
        sample = torch.where(ball.mask, sample, 0)
    return _allowed(ball, ball.center + sample * per_sample(reach / ball.norm.size(sample).clamp_min(1e-12), sample))


fab = Fab


@dataclass(frozen=True, kw_only=True)
class FabT:
    """See `fab_t`."""

    attack: Fab
    num_targets: int = 9

    @property
    def goal(self) -> GoalRule:
        return untargeted

    @property
    def abilities(self) -> Abilities:
        return replace(self.attack.abilities, parts=(self.attack,), keeping=None)

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        generator: Randomness = None,
    ) -> Tensor:
        if y.ndim == 2:
            return self.attack(model, x, y, threat, generator=generator)
        job = task(untargeted, model, x, y, threat)
        streams = as_streams(generator, len(x), x.device).child("fab")
        best = nothing(job.ball)
        for rank in range(1, min(self.num_targets, as_classes(job.logits).shape[1] - 1) + 1):
            towards = job._replace(goal=Towards(rank)(job.logits, y))
            found = self.attack.search(model, towards, streams.child("target", rank))
            best = choose(found.rank > best.rank, found, best)
        return within(job.ball, best)


def fab_t(*, num_steps: int = 100, num_restarts: int = 1, num_targets: int = 9, num_final: int = 3) -> FabT:
    """FAB towards each of the num_targets most likely wrong classes; the nearest success counts.

    The form that AutoAttack uses (Croce & Hein 2020, arXiv:2003.01690). A step costs one backward, whatever the number
    of classes. Any wrong answer is a success. With two classes it is FAB itself, and so it is with a multi-label head,
    where no class can be named.

    Example:
        >>> fab_t(num_targets=3).num_targets
        3
    """
    return FabT(
        attack=Fab(num_steps=num_steps, num_restarts=num_restarts, num_final=num_final), num_targets=num_targets
    )
