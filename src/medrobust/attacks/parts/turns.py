"""The loop that attacks with rules of their own share: take turns, keep the nearest success, let finished images go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...engine.ascend import Point, Score, against
from ...engine.count import narrow
from ...engine.keep import Kept, nothing, smallest_success, update
from ...engine.program import Model
from ...engine.tree import choose, put, take
from ...goals import Goal, GoalRule
from ...losses import lead
from ...norms import per_sample
from ...threat import Ball, Threat


class Task(NamedTuple):
    """What is asked of a batch: the ball around each image, the goal, and the clean logits (n, k)."""

    ball: Ball
    goal: Goal
    logits: Tensor


class Turn(NamedTuple):
    """What a turn gives: the scored points looked at, the next state, and which samples are done (n,)."""

    points: tuple[Point, ...]
    state: Any
    done: Tensor


def task(rule: GoalRule, model: Model, x: Tensor, y: Tensor, threat: Threat) -> Task:
    """The task of a batch, at the cost of one forward."""
    with torch.no_grad():
        logits = model(x)
    return Task(threat.around(x), rule(logits, y), logits)


def scored(x: Tensor, score: Score) -> Point:
    """A point whose score is known already."""
    point = Point(x, lambda _: score)
    point.__dict__["score"] = Score(*(tensor.detach() for tensor in score))
    return point


def closest(
    model: Model,
    job: Task,
    begin: Callable[[Task], Any],
    turn: Callable[[Model, Task, Any, Kept], Turn],
    num_turns: int,
) -> Kept:
    """The nearest point that reached the goal, per sample; the image itself where none did. Epsilon is not looked at.

    `begin` makes the state of a batch, `turn` advances it; a sample that is done leaves the batch, one that reached
    its goal from the start never enters. The state is a tree (see `engine.tree`); samples never look at each other.
    """
    clean = scored(job.ball.center, Score(job.ball.radius, job.logits, job.goal.reached(job.logits)))
    result = update(smallest_success, nothing(job.ball), clean, job.ball)
    (index,) = torch.where(~result.reached)
    kept, part, state = take((result, job, begin(job)), index)
    for _ in range(num_turns):
        if not len(index):
            break
        points, state, done = turn(narrow(model, index), part, state, kept)
        for point in points:
            kept = update(smallest_success, kept, point, part.ball)
        if bool(done.any()):
            (gone,) = torch.where(done)
            result = put(result, index[gone], take(kept, gone))
            (stay,) = torch.where(~done)
            kept, part, state, index = take((kept, part, state, index), stay)
    return put(result, index, kept)


def distance(kept: Kept) -> Tensor:
    """(n,) how far the kept points are from their images, inf where nothing reached the goal."""
    return torch.where(kept.reached, -kept.rank, torch.inf)


def within(ball: Ball, kept: Kept) -> Tensor:
    """What an attack returns: the kept point, its projection where it is farther than epsilon."""
    inside = ball.distance(kept.x) <= ball.radius
    return choose(inside, kept.x, ball.project(kept.x)).detach()


def tighten(model: Model, job: Task, kept: Kept, num_looks: int) -> Kept:
    """Move successes towards their images along the segment, by false position on the margin; a look is a forward.

    The final search of Croce & Hein 2020 (arXiv:1907.02044, section 3.3).
    """
    (index,) = torch.where(kept.reached & (kept.rank < 0))
    if not num_looks or not len(index):
        return kept
    part, found = take((job, kept), index)
    center, away = part.ball.center, found.x - part.ball.center
    objective = against(narrow(model, index), part.goal, lead)
    low, high = torch.zeros_like(part.ball.radius), torch.ones_like(part.ball.radius)
    below, above = lead(part.logits, part.goal), Point(found.x, objective).score.value
    for _ in range(num_looks):
        # A step beyond the crossing, for the crossing itself is not a success. Half way where the margins say nothing.
        share = torch.where((below < 0) & (above > 0), -below / (above - below) + 1e-3, 0.5)
        at = low + share.clamp(0.02, 0.999) * (high - low)
        point = Point((center + per_sample(at, away) * away).clamp(*part.ball.domain), objective)
        found = update(smallest_success, found, point, part.ball)
        value, won = point.score.value, point.score.reached
        low, below = torch.where(won, low, at), torch.where(won, below, value)
        high, above = torch.where(won, at, high), torch.where(won, value, above)
    return put(kept, index, found)


class PenaltyWeight(NamedTuple):
    """The search for the smallest constant c (n,) that wins: times 10 until it does, then halves of (low, high)."""

    c: Tensor
    low: Tensor
    high: Tensor

    @staticmethod
    def start(first: float, like: Tensor) -> PenaltyWeight:
        """The search before its first constant, for the samples of like (n,)."""
        return PenaltyWeight(torch.full_like(like, first), torch.zeros_like(like), torch.full_like(like, torch.inf))

    def after(self, won: Tensor) -> PenaltyWeight:
        """The next constant of each sample, given whether the last one won."""
        high = torch.where(won, torch.minimum(self.high, self.c), self.high)
        low = torch.where(won, self.low, torch.maximum(self.low, self.c))
        return PenaltyWeight(torch.where(high.isinf(), 10 * self.c, (low + high) / 2), low, high)
