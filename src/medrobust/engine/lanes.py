"""Lanes: a fixed-size batch of independent searches; a finished one makes room for the next job.

A lane is one (image, budget) job of a program. All its state is per sample, so lanes of different age and budget share
every forward and backward, and the batch stays full until the queue is empty. A graphics card is asked only every few
gradients which lanes are over: until then those stand still in their place, and the host does not wait.
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
LOOK = {"cpu": 1, "cuda": 3}  # gradients between two looks at who is over


class Lanes(NamedTuple):
    """A batch of searches, every field per sample.

    item: which image; slot: which budget; whole: a run that is never given up; age: gradients so far; goal and search:
    what it wants and where it stands; best: the highest margin seen; best_x: where; past: (n, WINDOW) what best was
    after the last gradients; won: whether it reached its goal; over: whether it stands still.
    """

    item: Tensor
    slot: Tensor
    whole: Tensor
    age: Tensor
    goal: Goal
    search: Search
    best: Tensor
    best_x: Tensor
    past: Tensor
    won: Tensor
    over: Tensor


class Done(NamedTuple):
    """Finished lanes, every field per lane; all but x are on the CPU.

    item: which image; slot: which budget; whole: a run that was not to be given up; age: its gradients; reached:
    whether the search reached its goal; x: the first point that did, else the one of the highest margin; best: the
    margin at x.
    """

    item: Tensor
    slot: Tensor
    whole: Tensor
    age: Tensor
    reached: Tensor
    x: Tensor
    best: Tensor


def open_lanes(
    program: Program, item: Tensor, slot: Tensor, goal: Goal, ball: Ball, start: Tensor, whole: Tensor | None = None
) -> Lanes:
    """New lanes, one per job, before their first gradient."""
    low = torch.full_like(ball.radius, -torch.inf)
    # Gradients come in this order: arithmetic on tensors of two orders takes longer.
    ball, start = ball._replace(center=channels_last(ball.center)), channels_last(start)
    search = begin(ball, start, program.step, program.num_steps, program.radius)
    past, no = low[:, None].repeat(1, WINDOW), torch.zeros_like(item, dtype=torch.bool)
    whole = no if whole is None else whole
    return Lanes(item, slot, whole, torch.zeros_like(item), goal, search, low, start, past, no, no.clone())


def hopeless(lanes: Lanes, num_steps: int, patience: float, shortfall: float) -> Tensor:
    """(n,) bool: the search would not reach its goal even if it went on `patience` times as fast to its last step.

    Bounded searches slow down as they come near the best point of their ball, so the recent rate is an optimistic
    forecast.
    """
    rate = (lanes.best - lanes.past[:, 0]) / WINDOW
    forecast = lanes.best + patience * rate * (num_steps - lanes.age)
    return (lanes.age > WINDOW + 1) & (forecast < -shortfall) & ~lanes.whole


def look(
    program: Program, model: Model, lanes: Lanes, *, patience: float | None = 2.0, shortfall: float = 0.0
) -> tuple[Lanes, Point]:
    """One gradient of every lane, and what it says of those that are not over yet.

    A lane is over when it reaches its goal, after program.num_steps steps, or, unless patience is None, when it is
    hopeless.
    """
    point = Point(lanes.search.x, program.objective(model, lanes.goal))
    point.grad  # noqa: B018 - one forward and one backward for all lanes
    value, going = lead(point.score.logits, lanes.goal).to(lanes.best), ~lanes.over
    reached = point.score.reached & going
    better = ((value > lanes.best) & going) | reached
    best = torch.where(better, value, lanes.best)
    # Most searches climb at every step: then nothing is copied.
    all_better = not better.is_cuda and bool(better.all())
    best_x = point.x if all_better else torch.where(per_sample(better, point.x), point.x, lanes.best_x)
    past = torch.cat([lanes.past[:, 1:], best[:, None]], 1)
    past = torch.where((lanes.age == 0)[:, None], best[:, None], past)
    lanes = lanes._replace(best=best, best_x=best_x, past=past, age=lanes.age + going, won=lanes.won | reached)
    over = lanes.over | reached | (lanes.age > program.num_steps)
    if patience is not None:
        over |= hopeless(lanes, program.num_steps, patience, shortfall)
    return lanes._replace(over=over), point


def split(program: Program, model: Model, lanes: Lanes, point: Point) -> tuple[Lanes, Point, Done | None]:
    """The lanes that go on with their point, and those that are over: the one place where the host waits."""
    said = torch.stack([lanes.over, lanes.won, lanes.whole, lanes.item, lanes.slot, lanes.age]).cpu()
    over = said[0].bool()
    if not bool(over.any()):
        return lanes, point, None
    ended, going = over.nonzero()[:, 0], (~over).nonzero()[:, 0]
    _, won, whole, item, slot, age = said[:, ended]
    at, stay = ended.to(point.x.device), going.to(point.x.device)
    done = Done(item, slot, whole.bool(), age, won.bool(), lanes.best_x[at], lanes.best[at].cpu())
    lanes = take(lanes, stay)
    return lanes, subset(point, stay, program.objective(model, lanes.goal)), done


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
        every = LOOK.get(lanes.best.device.type, 1)
        for number in range(1, every + 1):
            lanes, point = look(program, model, lanes, patience=patience, shortfall=shortfall)
            if number == every:
                lanes, point, done = split(program, model, lanes, point)
                if done is not None:
                    finished(done)
            if len(lanes.item):
                lanes = lanes._replace(search=advance(lanes.search, point, program.step, program.radius))
