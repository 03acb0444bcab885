"""The whole curve in one pass: the smallest budget of a grid at which a program breaks each image.

Budgets nest: a change allowed at one budget is allowed at every larger one, and where a search fails it would have
failed at smaller ones. So each image needs one success and one failure next to each other on the grid, not one run a
budget. The first guess is the linear estimate of the distance to the decision boundary; later ones interpolate the
margin. Searches start from the best point of the neighboring budget. What was found with a fast copy of the model
counts only after the classifier itself confirmed it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..attacks.minimal import slope
from ..engine.ascend import Point, against
from ..engine.lanes import Done, Lanes, open_lanes, run_lanes
from ..engine.program import Program
from ..engine.tree import concatenate, take
from ..goals import Goal
from ..losses import margin
from ..norms import per_sample
from ..threat import Ball, Threat
from .outcome import Grid, Outcome
from .stored import extend_stored
from .verify import Verdict, verify

Model = Callable[[Tensor], Tensor]
FIRST_GUESS = 1.25  # curvature: networks need about this much more than their linearization says
MOST_GUESSES = 3  # interpolations before plain bisection


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


class Board:
    """What is known of each of m images: broken at budget `high`, not at `low` (positions on the grid.

    -1 and e at first).
    """

    def __init__(self, program: Program, goal: Goal, ball: Ball, grid: Grid) -> None:
        self.program, self.goal, self.ball, self.grid = program, goal, ball, grid
        m, e = len(ball.center), len(grid.epsilons)
        self.epsilons = torch.tensor(grid.epsilons, dtype=torch.float64)
        self.low, self.high = torch.full((m,), -1), torch.full((m,), e)
        self.low_at, self.high_at = (
            torch.zeros(m, dtype=torch.float64),
            torch.full((m,), torch.inf, dtype=torch.float64),
        )
        self.low_margin, self.high_margin = torch.zeros(m, dtype=torch.float64), torch.zeros(m, dtype=torch.float64)
        self.probes, self.guess = torch.zeros(m, dtype=torch.int64), torch.zeros(m, dtype=torch.int64)
        self.start, self.found, self.edge = ball.center.clone(), ball.center.clone(), ball.center.clone()
        self.forwards = torch.zeros(m, e, dtype=torch.int64)
        self.backwards = torch.zeros(m, e, dtype=torch.int64)
        self.queue: deque[int] = deque()

    def estimate(self, model: Model, num_lanes: int) -> None:
        """One gradient an image: the margin, the linear distance, and a first step along the gradient."""
        for part in torch.arange(len(self.start)).split(num_lanes):
            ball, goal = take(self.ball, part), take(self.goal, part)
            point = Point(ball.center, against(model, goal, margin))
            direction = ball.norm.steepest(slope(point, ball))
            value = point.score.value.double().cpu()
            size = ball.norm.dual_size(point.grad).double().cpu().clamp_min(1e-30)
            self.low_margin[part] = value.clamp_max(-1e-12)
            at = FIRST_GUESS * -value / size
            self.guess[part] = torch.searchsorted(self.epsilons, at).clamp_max(len(self.epsilons) - 1)
            radius = self.epsilons[self.guess[part]].to(ball.center)
            self.start[part] = ball.center + per_sample(radius, direction) * direction
            self.forwards[part, self.guess[part]] += 1
            self.backwards[part, self.guess[part]] += 1
            self.queue.extend(part.tolist())

    def jobs(self, count: int) -> Lanes | None:
        """New lanes for images that wait, at their guessed budget, from their best start."""
        if not self.queue or not count:
            return None
        item = torch.tensor([self.queue.popleft() for _ in range(min(count, len(self.queue)))])
        slot = self.guess[item]
        ball = take(self.ball, item.to(self.ball.center.device))
        ball = ball._replace(radius=self.epsilons[slot].to(ball.center))
        start = ball.project(self.start[item])
        device = ball.center.device
        return open_lanes(self.program, item.to(device), slot.to(device), take(self.goal, item.to(device)), ball, start)

    def count(self, lanes: Lanes) -> None:
        """A forward and a backward of every lane."""
        item, slot = lanes.item.cpu(), lanes.slot.cpu()
        one = torch.ones_like(item)
        self.forwards.index_put_((item, slot), one, accumulate=True)
        self.backwards.index_put_((item, slot), one, accumulate=True)

    def finished(self, done: Done) -> None:
        """Narrow the bracket of each image, and queue it again unless it is closed."""
        items, slots, reached = done.item.cpu(), done.slot.cpu(), done.reached.cpu()
        best = done.best.double().cpu()
        distance = take(self.ball, done.item).distance(done.x).double().cpu()
        self.start[done.item] = done.x
        won, lost = items[reached], items[~reached]
        self.found[won] = done.x[reached.to(done.x.device)]
        # A point nearer than its budget closes larger gaps; half a unit in the last place is not nearer.
        nearest = torch.searchsorted(self.epsilons, distance[reached] * (1 - 1e-6))
        self.high[won] = torch.maximum(torch.minimum(nearest, slots[reached]), self.low[won] + 1)
        self.high_at[won], self.high_margin[won] = distance[reached], best[reached].clamp_min(0)
        self.low[lost], self.low_at[lost] = slots[~reached], self.epsilons[slots[~reached]]
        self.low_margin[lost] = best[~reached].clamp_max(-1e-12)
        self.edge[lost] = done.x[~reached.to(done.x.device)]
        self.probes[items] += 1
        self.requeue(items)

    def requeue(self, items: Tensor) -> None:
        """Guess the next budget of the images whose bracket is open."""
        open_ = items[self.high[items] - self.low[items] > 1]
        if not len(open_):
            return
        low, high = self.low[open_], self.high[open_]
        broken = high < len(self.epsilons)
        m0, m1 = self.low_margin[open_], self.high_margin[open_]
        at0, at1 = self.low_at[open_], self.high_at[open_]
        share = (-m0 / (m1 - m0).clamp_min(1e-12)).clamp(0, 1)
        # Without a success yet the margin is continued from the clean image through the last failure.
        gain = (m0 - self.clean_margin[open_]).clamp_min(1e-12) / at0.clamp_min(1e-30)
        root = torch.where(broken, at0 + share * (at1.nan_to_num(0, 0) - at0), at0 - 1.1 * m0 / gain)
        guess = torch.searchsorted(self.epsilons, root)
        guess = torch.where(self.probes[open_] > MOST_GUESSES, (low + high) // 2, guess)
        self.guess[open_] = torch.minimum(torch.maximum(guess, low + 1), high - 1)
        self.queue.extend(open_.tolist())

    @property
    def clean_margin(self) -> Tensor:
        return self._clean_margin

    def remember_clean(self) -> None:
        """The margins of the unchanged images, before any search moves low_margin."""
        self._clean_margin = self.low_margin.clone()


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
