"""The whole curve in one pass: the smallest budget of a grid at which a program breaks each image.

Budgets nest: a change allowed at one budget is allowed at every larger one, and where a search fails it would have
failed at smaller ones. So each image needs one success and one failure next to each other on the grid, not one run a
budget. The first guess is the linear estimate of the distance to the decision boundary; later ones interpolate the
margin. Searches start from the best point of the neighboring budget. What was found with a fast copy of the model
counts only after the classifier itself confirmed it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..engine.lanes import run_lanes
from ..engine.program import Program
from ..engine.tree import concatenate, take
from ..goals import Goal
from ..threat import Threat
from .as_saved import extend_stored
from .brackets import Board, Model
from .outcome import Grid, Outcome
from .verify import Verdict, verify

NEAR = 2.0  # times the rounding error of a margin: as near as the fast copy can lead a search astray


@dataclass(frozen=True)
class Effort:
    """How a sweep searches; none of it changes what counts as a success.

    Args:
        num_lanes: searches in one batch.
        patience: a search with steps of equal length is given up when its progress, `patience` times as fast, would not
            reach the goal; None never gives up.
        shortfall: rounding error of a margin of the search model: a failure this close is checked in float32.
    """

    num_lanes: int = 32
    patience: float | None = 2.0
    shortfall: float = 0.0


def _search(board: Board, model: Model, effort: Effort) -> None:
    # Steps that begin long and shrink gain most at the end: no forecast holds for them.
    steady = getattr(board.program.step, "steady", False)
    run_lanes(
        board.program,
        model,
        effort.num_lanes,
        board.jobs,
        board.finished,
        board.count,
        patience=effort.patience if steady else None,
        shortfall=effort.shortfall,
    )


def _confirm(board: Board, model: Model, depth: Tensor, batch_size: int, items: Tensor) -> Verdict:
    """Verdicts of the points found for these images (k,), by the classifier itself."""
    verdicts = []
    for part in items.split(batch_size):
        where = part.to(board.ball.center.device)
        ball = take(board.ball, where)
        ball = ball._replace(radius=board.epsilons[board.high[part]].to(board.ball.radius))
        verdicts.append(verify(model, board.found[where], ball, take(board.goal, where), depth[where]))
    return concatenate(verdicts)


def sweep(
    program: Program,
    model: Model,
    x: Tensor,
    goal: Goal,
    grid: Grid,
    clean_logits: Tensor,
    bit_depth: Tensor,
    *,
    search_model: Model | None = None,
    effort: Effort | None = None,
) -> Outcome:
    """The outcome of a program at every budget of a grid.

    Args:
        program: a composed attack with a budget (no radius rule).
        model: the classifier; its float32 answers decide.
        x: (m, c, *spatial) images.
        goal: of each image.
        grid: norm and budgets.
        clean_logits: (m, k) float32.
        bit_depth: (m,) of the sources.
        search_model: a fast copy to search with; the classifier itself by default.
        effort: batch size and when to give up.

    Returns an Outcome: from the smallest budget found on, every budget holds the verdict of the same point.
    """
    effort = effort or Effort()
    outcome, found, high = bracket(
        program, model, x, goal, grid, clean_logits, bit_depth, search_model=search_model, effort=effort
    )
    ball = Threat(epsilon=grid.epsilons[-1], norm=grid.norm, domain=grid.domain).around(x)
    extend_stored(outcome, model, ball, found, high, goal, bit_depth, grid, effort.num_lanes)
    return outcome


def bracket(
    program: Program,
    model: Model,
    x: Tensor,
    goal: Goal,
    grid: Grid,
    clean_logits: Tensor,
    bit_depth: Tensor,
    *,
    search_model: Model | None,
    effort: Effort,
) -> tuple[Outcome, Tensor, Tensor]:
    """As sweep; the outcome, the points found (m, ...), and the position of the smallest budget that broke each (m,).

    The position is the number of budgets where none did.
    """
    outcome = Outcome.nothing(clean_logits.cpu(), len(grid.epsilons))
    threat = Threat(epsilon=grid.epsilons[-1], norm=grid.norm, domain=grid.domain)
    board = Board(program, goal, threat.around(x), grid)
    search_model = search_model or model
    board.estimate(search_model, effort.num_lanes)
    board.remember_clean()
    _search(board, search_model, effort)
    if search_model is not model:
        _check_close(board, model, bit_depth, effort)
        _look_again(board, model, effort)
    items = (board.high < len(board.epsilons)).nonzero()[:, 0]
    while len(items):
        verdict = _confirm(board, model, bit_depth, effort.num_lanes, items)
        kept = verdict.reached.cpu()
        for high in board.high[items[kept]].unique().tolist():
            chosen = kept & (board.high[items] == high)
            outcome.set(items[chosen], slice(high, None), take(verdict, chosen.to(verdict.reached.device)))
        # What is not confirmed is searched again from there with the classifier itself, and if that was the one
        # that claimed it, a success by less than rounding, at the next larger budget.
        items = _reopen(board, items[~kept], int(search_model is model))
        search_model = model
        _search(board, model, effort)
        items = items[board.high[items] < len(board.epsilons)]
    outcome.forwards, outcome.backwards = board.forwards, board.backwards
    return outcome, board.found, board.high


def _check_close(board: Board, model: Model, depth: Tensor, effort: Effort) -> None:
    """Failures of the fast copy within rounding of a success: asked of the classifier itself."""
    close = ((board.low >= 0) & (board.low_margin > -effort.shortfall)).nonzero()[:, 0]
    for part in close.split(effort.num_lanes):
        where = part.to(board.ball.center.device)
        ball = take(board.ball, where)._replace(radius=board.epsilons[board.low[part]].to(board.ball.radius))
        won = part[verify(model, board.edge[where], ball, take(board.goal, where), depth[where]).reached.cpu()]
        board.high[won], board.found[won] = board.low[won], board.edge[won]
        board.low[won] -= 1


def _look_again(board: Board, model: Model, effort: Effort) -> None:
    """Searches that the fast copy may have lost by its rounding, taken up by the classifier where they ended."""
    again = ((board.low >= 0) & (board.low_margin > -NEAR * effort.shortfall)).nonzero()[:, 0]
    board.guess[again], board.start[again] = board.low[again], board.edge[again]
    board.low[again] -= 1
    board.queue.extend(again.tolist())
    _search(board, model, effort)


def _reopen(board: Board, doubtful: Tensor, up: int) -> Tensor:
    """Queue images again, `up` budgets above the one that was claimed, from the point in question; returns them."""
    at = board.high[doubtful] + up
    doubtful, at = doubtful[at < len(board.epsilons)], at[at < len(board.epsilons)]
    board.guess[doubtful] = at
    board.start[doubtful] = board.found[doubtful]
    if up:
        board.low[doubtful], board.low_at[doubtful] = at - up, board.epsilons[at - up]
    board.high[doubtful] = len(board.epsilons)
    board.high_at[doubtful] = torch.inf
    board.queue.extend(doubtful.tolist())
    return doubtful
