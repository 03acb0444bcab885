"""Lanes: a fixed-size batch of independent searches; a finished one makes room for the next job.

A lane is one (image, budget) job of a program. All its state is per sample, so lanes of different age and budget share
every forward and backward, and the batch stays full until the queue is empty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..goals import Goal
from ..losses import lead
from ..memory_order import channels_last
from ..norms import per_sample
from ..threat import Ball
from .ascend import Point, Search, advance, begin, subset
from .program import Model, Program
from .tree import concatenate, take

WINDOW = 3  # gradients over which the progress of a search is judged


class Lanes(NamedTuple):
    """A batch of searches, every field per sample.

    item: which image; slot: which budget; age: gradients so far; goal and search: what it wants and where it stands;
    best: the highest margin seen; best_x: where; past: (n, WINDOW) what best was after the last gradients.
    """

    item: Tensor
    slot: Tensor
    age: Tensor
    goal: Goal
    search: Search
    best: Tensor
    best_x: Tensor
    past: Tensor


class Done(NamedTuple):
    """Finished lanes, every field per lane.

    item: which image; slot: which budget; reached: whether the search reached its goal; x: the first point that did,
    else the one of the highest margin; best: the margin at x.
    """

    item: Tensor
    slot: Tensor
    reached: Tensor
    x: Tensor
    best: Tensor


def open_lanes(program: Program, item: Tensor, slot: Tensor, goal: Goal, ball: Ball, start: Tensor) -> Lanes:
    """New lanes, one per job, before their first gradient."""
    low = torch.full_like(ball.radius, -torch.inf)
    # Gradients come in this order: arithmetic on tensors of two orders takes longer.
    ball, start = ball._replace(center=channels_last(ball.center)), channels_last(start)
    search = begin(ball, start, program.step, program.num_steps, program.radius)
    past = low[:, None].repeat(1, WINDOW)
    return Lanes(item, slot, torch.zeros_like(item), goal, search, low, start, past)


def hopeless(lanes: Lanes, num_steps: int, patience: float, shortfall: float) -> Tensor:
    """(n,) bool: the search would not reach its goal even if it went on `patience` times as fast to its last step.

    Bounded searches slow down as they come near the best point of their ball, so the recent rate is an optimistic
    forecast.
    """
    rate = (lanes.best - lanes.past[:, 0]) / WINDOW
    forecast = lanes.best + patience * rate * (num_steps - lanes.age)
    return (lanes.age > WINDOW + 1) & (forecast < -shortfall)


def tick(
    program: Program, model: Model, lanes: Lanes, *, patience: float | None = 2.0, shortfall: float = 0.0
) -> tuple[Lanes, Done | None]:
    """One gradient of every lane; the lanes that go on, and those that are finished.

    A lane ends when it reaches its goal, after program.num_steps steps, or, unless patience is None, when it is
    hopeless.
    """
    point = Point(lanes.search.x, program.objective(model, lanes.goal))
    point.grad  # noqa: B018 - one forward and one backward for all lanes
    value = lead(point.score.logits, lanes.goal).to(lanes.best)
    higher = value > lanes.best
    best = torch.where(higher, value, lanes.best)
    # Most searches climb at every step: then nothing is copied.
    best_x = point.x if bool(higher.all()) else torch.where(per_sample(higher, point.x), point.x, lanes.best_x)
    past = torch.cat([lanes.past[:, 1:], best[:, None]], 1)
    lanes = lanes._replace(best=best, past=torch.where((lanes.age == 0)[:, None], best[:, None], past))
    lanes = lanes._replace(best_x=best_x, age=lanes.age + 1)
    reached = point.score.reached
    over = reached | (lanes.age > program.num_steps)
    if patience is not None:
        over |= hopeless(lanes, program.num_steps, patience, shortfall)
    done = None
    if bool(over.any()):
        ended = over.nonzero()[:, 0]
        won = reached[ended]
        x = torch.where(per_sample(won, point.x), point.x[ended], best_x[ended])
        best = torch.where(reached, value, best)
        done = Done(lanes.item[ended], lanes.slot[ended], won, x, best[ended])
        going = (~over).nonzero()[:, 0]
        lanes = take(lanes, going)
        point = subset(point, going, program.objective(model, lanes.goal))
    if len(lanes.item):
        lanes = lanes._replace(search=advance(lanes.search, point, program.step, program.radius))
    return lanes, done


def join(lanes: Lanes | None, more: Lanes) -> Lanes:
    """Both in one batch."""
    return more if lanes is None or not len(lanes.item) else concatenate([lanes, more])


Refill = Callable[[int], "Lanes | None"]


def run_lanes(
    program: Program,
    model: Model,
    num_lanes: int,
    refill: Refill,
    finished: Callable[[Done], None],
    seen: Callable[[Lanes], None],
    *,
    patience: float | None = 2.0,
    shortfall: float = 0.0,
) -> None:
    """Keep num_lanes lanes busy until refill has nothing left.

    Args:
        program: what every lane runs.
        model: x (n, c, *spatial) -> logits.
        num_lanes: searches in one batch.
        refill: number of free lanes -> at most so many new ones, None when there are none now.
        finished: told of the lanes that ended; may make new jobs for refill.
        seen: told of the lanes before each gradient, for counting.
        patience, shortfall: see hopeless; with a patience of None every search goes on to its last step.
    """
    lanes: Lanes | None = None
    while True:
        free = num_lanes - (0 if lanes is None else len(lanes.item))
        more = refill(free) if free else None
        if more is not None:
            lanes = join(lanes, more)
        if lanes is None or not len(lanes.item):
            return
        seen(lanes)
        lanes, done = tick(program, model, lanes, patience=patience, shortfall=shortfall)
        if done is not None:
            finished(done)
