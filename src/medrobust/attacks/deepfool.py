"""DeepFool: straight to the nearest boundary of the linearized classifier, again and again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..engine.abilities import Abilities
from ..engine.keep import Kept
from ..engine.program import Model
from ..goals import GoalRule, or_wrong, untargeted
from ..losses import lead
from ..norms import per_sample
from ..streams import Randomness
from ..threat import Ball, Threat
from .parts.hyperplanes import nearest_boundary, rivals, room, shortest
from .parts.turns import Task, Turn, closest, scored, task, within

LEAST_SHARE = 0.1  # of the overshoot, that the domain must leave of it


class DeepFoolState(NamedTuple):
    """x (n, ...), the steps done (n,), and the rival classes (n, m)."""

    x: Tensor
    k: Tensor
    candidates: Tensor


@dataclass(frozen=True, kw_only=True)
class DeepFool:
    """DeepFool for linf and l2 (Moosavi-Dezfooli et al. 2016, arXiv:1511.04599).

    x <- x + (1 + overshoot) d, where d is the shortest way to the linear picture at x of the boundary of the nearest
    rival class: |gap| grad / ||grad||_2^2 in l2, |gap| sign(grad) / ||grad||_1 in linf, with gap = z_k - z_label.
    Stops at the first success. It is quick and not the smallest change: use it for a bracket.

    The paper lets pixels leave the domain. Here a step is clipped to it, as in its implementations; where that eats the
    overshoot, d is the shortest way inside the domain, or steps would creep up to the boundary and never cross it. A
    success counts where its lead is above the rounding of the logits, so that it stays one when asked again. With a
    target (the paper has none) the only boundary is that of the margin.

    Args:
        num_steps: each costs a forward, and a backward per rival class: 1 with two classes, one logit, or a target.
        num_classes: rival classes looked at, the most likely ones of the clean image.
        overshoot: share by which a step goes beyond the boundary.
        goal: see `medrobust.goals`.

    Errors: ValueError for l1, or counts below 1.

    Example:
        >>> x = torch.full((1, 1, 2, 2), 0.25)
        >>> x_adv = deepfool()(lambda x: 1.8 - x.flatten(1).sum(1), x, torch.tensor([1]), Threat())
        >>> round(float((x_adv - x).abs().amax()), 3)  # 1.02 * 0.8 / 4
        0.204
    """

    num_steps: int = 50
    num_classes: int = 9
    overshoot: float = 0.02
    goal: GoalRule = untargeted

    @property
    def abilities(self) -> Abilities:
        return Abilities(kind="minimal", norms=("linf", "l2"), keeping=self._keeping)

    def _keeping(self) -> DeepFool:
        return replace(self, goal=or_wrong(self.goal))

    def __post_init__(self) -> None:
        if self.num_steps < 1 or self.num_classes < 1:
            raise ValueError(f"num_steps and num_classes must be 1 or more, got {self.num_steps}, {self.num_classes}")

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        generator: Randomness = None,
    ) -> Tensor:
        if threat.norm.name not in ("linf", "l2"):
            raise ValueError(f"deepfool is defined for linf and l2, got {threat.norm.name}")
        job = task(self.goal, model, x, y, threat)
        # One more turn looks at the last point.
        return within(job.ball, closest(model, job, self._begin, self._turn, self.num_steps + 1))

    def _begin(self, job: Task) -> DeepFoolState:
        candidates = rivals(job.logits, job.goal, self.num_classes)
        return DeepFoolState(job.ball.center, torch.zeros_like(job.ball.radius), candidates)

    def _turn(self, model: Model, job: Task, state: DeepFoolState, kept: Kept) -> Turn:
        ball = job.ball
        point, gap, slope = nearest_boundary(model, state.x, job.goal, ball, state.candidates)
        # Close to the boundary a step shorter than the rounding of the logits would not cross it.
        rounding = _rounding(job.logits, point.score.logits, slope, state.x)
        rise = torch.maximum(-gap, rounding)
        x = (state.x + self._step(ball, slope, rise, state)).clamp(*ball.domain)
        # Where nothing moves, nothing will.
        still = (x == state.x).flatten(1).all(1)
        k = state.k + 1
        won = point.score.reached & (lead(point.score.logits, job.goal) > rounding)
        done = won | still | (k > self.num_steps)
        return Turn((scored(state.x, point.score._replace(reached=won)),), state._replace(x=x, k=k), done)

    def _step(self, ball: Ball, slope: Tensor, rise: Tensor, state: DeepFoolState) -> Tensor:
        """The published step beyond <slope, d> = rise; where the domain eats its overshoot, the shortest one inside.

        The first of these is the longest and goes no farther than the boundary: the next ones overshoot what is left.
        """
        beyond = (1 + self.overshoot) * rise
        size = beyond / ball.norm.dual_size(slope)
        published = per_sample(size.nan_to_num(0.0, 0.0), slope) * ball.norm.steepest(slope)
        low, high = room(ball, state.x)
        gained = (slope * published.clamp(low, high)).flatten(1).sum(1)
        eaten = gained < (1 + LEAST_SHARE * self.overshoot) * rise
        inside = shortest(ball.norm, slope, torch.where(state.k == 0, rise, beyond), low, high)
        return torch.where(per_sample(eaten, slope), inside, published)


def _rounding(clean: Tensor, logits: Tensor, slope: Tensor, x: Tensor) -> Tensor:
    """(n,) how far the rounding of pixels and logits may move a gap.

    A single logit is near 0 at the boundary, where its own size says nothing of the sums that it came from.
    """
    eps = torch.finfo(logits.dtype).eps
    sizes = torch.maximum(clean.abs(), logits.abs()).reshape(len(slope), -1).amax(1)
    return 8 * eps * sizes + torch.finfo(x.dtype).eps * (slope * x).flatten(1).abs().sum(1)


deepfool = DeepFool
