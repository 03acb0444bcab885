"""A search that stops, sample by sample, when it has won."""

from __future__ import annotations

import torch
from torch import Tensor

from ..goals import Goal
from ..threat import Ball
from .ascend import Point, advance, begin
from .count import narrow
from .keep import Kept, first_reached, nothing, update
from .program import Model, Program
from .tree import put, take


def until_reached(program: Program, model: Model, goal: Goal, ball: Ball, start: Tensor) -> Kept:
    """What program keeps with `first_reached`, at less cost: a sample leaves the batch at its first success.

    goal and ball describe the n samples of start (n, ...). A sample that never wins keeps its point of highest loss.
    """
    search = begin(ball, start, program.step, program.num_steps, program.radius)
    result = kept = nothing(ball)
    index = torch.arange(len(start), device=start.device)
    for step in range(program.num_steps + 1):
        point = Point(search.x, program.objective(narrow(model, index), goal))
        if step < program.num_steps:
            point.grad  # noqa: B018 - fills the score too, with the same forward
        kept = update(first_reached, kept, point, ball)
        if step < program.num_steps:
            search = advance(search, point, program.step, program.radius)
        done = kept.reached.nonzero()[:, 0]
        if len(done):
            result = put(result, index[done], take(kept, done))
            (open_,) = torch.where(~kept.reached)
            search, kept, index, goal, ball = take((search, kept, index, goal, ball), open_)
            if not len(open_):
                return result
    return put(result, index, kept)
