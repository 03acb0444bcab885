"""The one attack loop: maximize a per-sample objective over a per-sample set of allowed points."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ..goals import Goal
from ..losses import Loss
from ..threat import Ball
from .abilities import StepAbilities


class Score(NamedTuple):
    """What the model says of a point: value (n,), larger is better for the adversary; logits (n, k); reached (n,)."""

    value: Tensor
    logits: Tensor
    reached: Tensor


Objective = Callable[[Tensor], Score]


def against(model: Callable[[Tensor], Tensor], goal: Goal, loss: Loss) -> Objective:
    """The usual objective: a loss of the model's logits with respect to a goal."""

    def objective(x: Tensor) -> Score:
        logits = model(x)
        return Score(loss(logits, goal), logits, goal.reached(logits))

    return objective


class Point:
    """A candidate x (n, ...). Its score and gradient are computed when first looked at: unread, they cost nothing."""

    def __init__(self, x: Tensor, objective: Objective) -> None:
        self.x = x
        self._objective = objective

    @cached_property
    def score(self) -> Score:
        """What the model says of x: one forward."""
        with torch.no_grad():
            return self._objective(self.x)

    @cached_property
    def grad(self) -> Tensor:
        """(n, ...) the gradient of the value with respect to x: one forward and one backward; fills score too."""
        with torch.enable_grad():
            x = self.x.detach().requires_grad_()
            score = self._objective(x)
            (grad,) = torch.autograd.grad(score.value.sum(), x)
        self.__dict__["score"] = Score(*(tensor.detach() for tensor in score))
        return grad

    def with_grad(self, grad: Tensor) -> Point:
        """The same scored point, with another direction in place of its gradient."""
        other = Point(self.x, self._objective)
        other.__dict__.update(score=self.score, grad=grad)
        return other


def subset(point: Point, index: Tensor, objective: Objective) -> Point:
    """The samples at index of a point whose gradient is known; nothing is computed again."""
    part = Point(point.x[index], objective)
    part.__dict__["grad"] = point.grad[index]
    part.__dict__["score"] = Score(*(tensor[index] for tensor in point.score))
    return part


class Step(Protocol):
    """From a scored point to the next one. All state is per sample, and no sample sees another."""

    @property
    def abilities(self) -> StepAbilities:
        """What it is and where it works; see StepAbilities."""

    def init(self, ball: Ball, num_steps: int) -> Any:
        """The state before the first of num_steps steps: a tree whose tensors are (n, ...)."""

    def __call__(self, point: Point, state: Any, ball: Ball) -> tuple[Tensor, Any]:
        """The next point (n, ...) in the ball, and the state after the step."""


class Radius(Protocol):
    """How far to look next: minimal-norm attacks shrink the ball where they succeed and grow it where they fail."""

    def init(self, ball: Ball, num_steps: int) -> tuple[Ball, Any]:
        """The ball with its first radii (n,), and the state before the first of num_steps steps."""

    def __call__(self, point: Point, state: Any, ball: Ball) -> tuple[Ball, Any]:
        """The ball with the radii (n,) of the next step, and the state after it."""


class Search(NamedTuple):
    """Where a search stands: x (n, ...), the ball it looks in, and the states of its step and radius rules."""

    x: Tensor
    ball: Ball
    step: Any
    radius: Any


def begin(ball: Ball, start: Tensor, step: Step, num_steps: int, radius: Radius | None = None) -> Search:
    """The search before its first step."""
    state = step.init(ball, num_steps)
    ball, radius_state = radius.init(ball, num_steps) if radius else (ball, None)
    return Search(start, ball, state, radius_state)


def advance(search: Search, point: Point, step: Step, radius: Radius | None = None) -> Search:
    """One step of every sample of the search, from its point."""
    ball, radius_state = search.ball, search.radius
    if radius:
        ball, radius_state = radius(point, radius_state, ball)
    x, state = step(point, search.step, ball)
    return Search(x, ball, state, radius_state)


class Early(NamedTuple):
    """What the first num_steps steps climb in place of the objective."""

    objective: Objective
    num_steps: int


def ascend(
    objective: Objective,
    ball: Ball,
    start: Tensor,
    step: Step,
    num_steps: int,
    radius: Radius | None = None,
    early: Early | None = None,
) -> Iterator[Point]:
    """Yield the num_steps + 1 points visited, each of the shape of start (n, ...); see keep.py for which to keep.

    The last point is scored only if somebody asks. Works for images and volumes alike: nothing assumes a number of
    dimensions.
    """
    search = begin(ball, start, step, num_steps, radius)
    for number in range(num_steps):
        point = Point(search.x, early.objective if early and number < early.num_steps else objective)
        point.grad  # noqa: B018 - one forward and one backward, whatever the consumer looks at first
        yield point
        search = advance(search, point, step, radius)
    yield Point(search.x, objective)
