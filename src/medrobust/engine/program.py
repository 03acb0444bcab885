"""A composed attack: a program of parts. Calling it runs one batch of lanes; a sweep feeds the same program to many."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..goals import Goal, GoalRule, or_wrong, untargeted
from ..losses import Loss, cross_entropy
from ..norms import per_sample
from ..streams import Randomness, Streams, as_streams
from ..threat import Ball, Threat
from .abilities import Abilities
from .ascend import Early, Objective, Point, Radius, Step, against, ascend
from .keep import Keep, first_reached, fold, highest, last

Model = Callable[[Tensor], Tensor]
Spread = Callable[[Ball, Streams], Tensor]


def clean_goal(rule: GoalRule, model: Model, x: Tensor, y: Tensor) -> Goal:
    """The goal of each image, from the clean logits where the rule looks at them."""
    if rule is untargeted:
        return Goal(y, False)
    with torch.no_grad():
        return rule(model(x), y)


@dataclass(frozen=True, kw_only=True)
class Program:
    """An attack made of parts: goal, loss, start, step, radius rule, what to keep, number of steps.

    Call it as every attack: `attack(model, x, y, threat, generator=None)`, where model maps x (n, c, *spatial) float32
    to logits (n, k) (or one logit), y is (n,) class indices, and threat holds the budget, one for all or one per
    sample. It returns x_adv with the shape of x, inside the ball and the domain. `start` gives the first point instead
    of the center or a random one; `spread` says how a random one is drawn. The first `early_steps` climb `early_loss`,
    if there is one.

    The model should be in eval mode and its parameters frozen (see `medrobust.models.Classifier.frozen`).

    Example:
        >>> import torch
        >>> from medrobust.attacks import pgd
        >>> from medrobust.threat import Threat
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)).requires_grad_(False)
        >>> x, y = torch.rand(3, 1, 2, 2), torch.tensor([0, 1, 0])
        >>> x_adv = pgd(num_steps=5)(model, x, y, Threat(epsilon=0.1))
        >>> bool((x_adv - x).abs().amax() <= 0.1 + 1e-6)
        True
    """

    step: Step
    num_steps: int
    goal: GoalRule = untargeted
    loss: Loss = cross_entropy
    random_start: bool = False
    spread: Spread = Ball.sample
    keep: Keep = last
    radius: Radius | None = None
    early_loss: Loss | None = None
    early_steps: int = 0

    def __post_init__(self) -> None:
        if self.num_steps < 1:
            raise ValueError(f"num_steps must be 1 or more, got {self.num_steps}")
        if self.early_loss is not None and self.radius is None:
            raise ValueError("early_loss is for programs with a radius rule: lanes of different age share one loss")

    @property
    def abilities(self) -> Abilities:
        step = self.step.abilities
        return Abilities(
            kind="bounded" if self.radius is None else "minimal",
            norms=step.norms,
            randomized=self.random_start,
            steady=step.steady,
            reach=None if step.stride is None else self._reach,
            program=self,
            approach=self._approach,
            keeping=self._keeping,
        )

    def _reach(self, epsilon: float) -> float:
        stride = self.step.abilities.stride
        return math.inf if stride is None else self.num_steps * stride(epsilon)

    def _approach(self, model: Model, goal: Goal, ball: Ball, streams: Streams) -> tuple[Program, Tensor]:
        return self, self.first(ball, streams)

    def _keeping(self) -> Program:
        keep = first_reached if self.keep in (last, highest) else self.keep
        return replace(self, keep=keep, goal=or_wrong(self.goal))

    def first(self, ball: Ball, streams: Streams) -> Tensor:
        """The first point (n, ...) of each sample."""
        return self.spread(ball, streams.child("start")) if self.random_start else ball.center

    def objective(self, model: Model, goal: Goal) -> Objective:
        """What the search climbs."""
        return against(model, goal, self.loss)

    def trajectory(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        generator: Randomness = None,
        start: Tensor | None = None,
    ) -> tuple[Ball, Iterator[Point]]:
        """The ball and the num_steps + 1 points visited, in order.

        These points are the instances of MIRST (Sun et al. 2022, arXiv:2205.01674).

        Errors: ValueError for a norm that the step rule is not made for.
        """
        if threat.norm.name not in self.step.abilities.norms:
            raise ValueError(f"this attack is made for {', '.join(self.step.abilities.norms)}, not {threat.norm.name}")
        ball = threat.around(x)
        goal = clean_goal(self.goal, model, x, y)
        if start is None:
            start = self.first(ball, as_streams(generator, len(x), x.device))
        else:
            # A start from a larger budget is outside; what is inside stays bit for bit.
            inside = per_sample(ball.contains(start, tolerance=1e-6), start)
            start = torch.where(inside, start, ball.project(start))
        early = Early(against(model, goal, self.early_loss), self.early_steps) if self.early_loss else None
        return ball, ascend(self.objective(model, goal), ball, start, self.step, self.num_steps, self.radius, early)

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        generator: Randomness = None,
        start: Tensor | None = None,
    ) -> Tensor:
        ball, points = self.trajectory(model, x, y, threat, generator=generator, start=start)
        return fold(self.keep, points, ball)
