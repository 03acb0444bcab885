"""The whole curve in one pass: the smallest budget of a grid at which a program breaks each image.

Budgets nest: a change allowed at one budget is allowed at every larger one, and where a search fails it would have
failed at smaller ones. So each image needs one success and one failure next to each other on the grid, not one run per
budget. The first guess is the linear estimate of the distance to the decision boundary; later ones interpolate the
margin. Searches start from the best point of the neighboring budget. What was found with a fast copy of the model
counts only after the classifier itself confirmed it. In the end the attack runs as it is defined, whole and from its
own start, at the largest budget that failed: only where it fails there does the image count as robust. These runs may
use the copy too; then the failures that came nearest to a success are asked of the classifier itself, and as long as it
wins one, more of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..engine.lanes import run_lanes
from ..engine.program import Program
from ..engine.tree import concatenate, take
from .as_saved import extend_saved
from .brackets import Brackets
from .outcome import Grid, Model, Outcome
from .search_model import SearchModel
from .subjects import Subjects
from .verify import Verdict, verify

NEAR = 2.0  # times the rounding error of a margin: as near as the fast copy can lead a search astray
ASKED = 8  # failures of the copy that the classifier is asked about first; twice as many each time it wins one


@dataclass(frozen=True)
class Effort:
    """How a sweep searches; none of it changes what counts as a success.

    Args:
        num_lanes: searches in one batch.
        patience: a search with steps of equal length is given up when its progress, `patience` times as fast, would not
            reach the goal; None never gives up.
        whole: every failure is that of one whole run of the attack; otherwise the outcome only says where to look.
    """

    num_lanes: int = 32
    patience: float | None = 2.0
    whole: bool = True


class Swept(NamedTuple):
    """The outcome, the points found (m, ...), and the position (m,) of the smallest budget that broke each image."""

    outcome: Outcome
    found: Tensor
    high: Tensor


def sweep(program: Program, subjects: Subjects, grid: Grid, search: SearchModel, effort: Effort) -> Outcome:
    """The outcome of a program at every budget of a grid.

    Args:
        program: a composed attack with a budget (no radius rule).
        subjects: the images.
        grid: norm and budgets.
        search: the classifier and the copy that searches.
        effort: batch size and when to give up.

    Returns an Outcome: from the smallest budget found on, every budget holds the verdict of the same point.
    """
    swept = bracket(program, subjects, grid, search, effort)
    extend_saved(swept.outcome, subjects, swept.found, search.model, effort.num_lanes)
    swept.outcome.points = swept.found
    return swept.outcome


def bracket(program: Program, subjects: Subjects, grid: Grid, search: SearchModel, effort: Effort) -> Swept:
    """As sweep, with the points found; `survives` is that of the smallest budget."""
    outcome = Outcome.nothing(subjects.logits, grid)
    brackets = Brackets(program, subjects, grid, effort.whole)
    searcher = search.fast

    def run(model: Model) -> None:
        brackets.itself = model is search.model
        # Steps that begin long and shrink gain most at the end: no forecast holds for them.
        patience = effort.patience if program.abilities.steady else None
        told = (brackets.jobs, brackets.finished)
        run_lanes(program, model, effort.num_lanes, *told, patience=patience, shortfall=search.shortfall)

    def judged(points: Tensor, items: Tensor, ball: object) -> Verdict:
        where = items.to(points.device)
        return verify(search.model, points, ball, take(subjects.goal, where), subjects.units[where])  # type: ignore[arg-type]

    brackets.estimate(searcher, effort.num_lanes)
    run(searcher)
    if searcher is not search.model:
        # Failures of the fast copy within rounding of a success: asked of the classifier itself.
        for items, points, ball in brackets.near_failures(search.shortfall, effort.num_lanes):
            brackets.broken_at_low(items[judged(points, items, ball).reached.cpu()])
        # Searches that it may have lost by its rounding are taken up by the classifier where they ended. Beside them
        # run the failures that came nearest: as long as none of these is a success, those of the copy count.
        brackets.look_again(NEAR * search.shortfall)
        asked, most = brackets.ask_itself(ASKED) if effort.whole and search.coarse else torch.arange(0), ASKED
        while True:
            before = brackets.high[asked]
            run(search.model)
            if bool((brackets.high[asked] == before).all()):
                break
            most *= 2
            asked = brackets.ask_itself(most)
    items = brackets.broken
    while len(items):
        claims = brackets.claims(items, effort.num_lanes)
        verdict = concatenate([judged(points, part, ball) for part, points, ball in claims])
        kept = verdict.reached.cpu()
        outcome.set_from(items[kept], brackets.high[items[kept]], take(verdict, kept.to(verdict.reached.device)))
        # What is not confirmed is searched again from there with the classifier itself, and if that was the one
        # that claimed it, a success by less than rounding, at the next larger budget.
        items = brackets.reopen(items[~kept], int(searcher is search.model))
        searcher = search.model
        run(searcher)
        items = items[torch.isin(items, brackets.broken)]
    outcome.forwards, outcome.backwards = brackets.forwards, brackets.backwards
    return Swept(outcome, brackets.found, brackets.high)
