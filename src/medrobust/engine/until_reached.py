"""A search that stops, sample by sample, when it has won."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..goals import Goal
from ..streams import Randomness, as_streams
from ..threat import Ball, Threat
from .ascend import Point, advance, against, begin
from .count import narrow
from .keep import Keep, Kept, first_reached, nothing, update
from .program import Model, Program, clean_goal
from .tree import put, take


def until_reached(
    program: Program,
    model: Model,
    goal: Goal,
    ball: Ball,
    start: Tensor,
    *,
    keep: Keep = first_reached,
    within: float = torch.inf,
) -> Kept:
    """What program keeps with the rule `keep`, at less cost: a sample leaves the batch when it has won near enough.

    goal and ball describe the n samples of start (n, ...). A sample that never wins keeps what the rule says, with
    `first_reached` its point of highest loss.

    Args:
        program, model, goal, ball, start: the search.
        keep: which point to keep.
        within: the distance from the center at which a success is near enough; by default any is.
    """
    search = begin(ball, start, program.step, program.num_steps, program.radius)
    result = kept = nothing(ball)
    index = torch.arange(len(start), device=start.device)
    needs_distance = within != torch.inf
    for step in range(program.num_steps + 1):
        seen, early = narrow(model, index), step < program.early_steps and program.early_loss
        point = Point(search.x, against(seen, goal, early) if early else program.objective(seen, goal))
        if step < program.num_steps:
            point.grad  # noqa: B018 - fills the score too, with the same forward
        kept = update(keep, kept, point, ball)
        if step < program.num_steps:
            search = advance(search, point, program.step, program.radius)
        over = kept.reached & (ball.distance(kept.x) <= within) if needs_distance else kept.reached
        done = over.nonzero()[:, 0]
        if len(done):
            result = put(result, index[done], take(kept, done))
            (open_,) = torch.where(~over)
            search, kept, index, goal, ball = take((search, kept, index, goal, ball), open_)
            if not len(open_):
                return result
    return put(result, index, kept)


@dataclass(frozen=True)
class Near:
    """A program that looks for the smallest change, content with a success within a distance."""

    program: Program
    within: float

    def __call__(self, model: Model, x: Tensor, y: Tensor, threat: Threat, *, generator: Randomness = None) -> Tensor:
        goal, ball = clean_goal(self.program.goal, model, x, y), threat.around(x)
        start = self.program.first(ball, as_streams(generator, len(x), x.device))
        kept = until_reached(self.program, model, goal, ball, start, keep=self.program.keep, within=self.within)
        return kept.x.detach()
