"""What is known of each image while a curve is swept: the bracket of budgets, where searches ended, what comes next."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor

from ..engine.ascend import Point, against
from ..engine.lanes import Done, Lanes, open_lanes
from ..engine.program import Program
from ..engine.steps import slope
from ..engine.tree import take
from ..losses import lead, margin
from ..threat import Ball
from .outcome import Grid, Model
from .subjects import Subjects

FIRST_GUESS = 1.25  # curvature: networks need about this much more than their linearization says
MOST_GUESSES = 3  # interpolations before plain bisection


class Brackets:
    """Each of m images was broken at budget `high`, not at `low` (positions on the grid; at first e and -1).

    All changes go through the methods: what a search found (`finished`), what the classifier says of it
    (`broken_at_low`, `look_again`, `ask_itself`, `reopen`), and which search comes next (`jobs`). Once the bracket of
    an image is closed, one whole run of the attack, as it is defined, is queued at `low`: a failure rests on such a run
    only; searches from a neighbor's point, or given up early, find successes and choose budgets.

    Args:
        program, subjects, grid: see sweep.
        whole: whether failures are to rest on whole runs.
    """

    def __init__(self, program: Program, subjects: Subjects, grid: Grid, whole: bool = True) -> None:
        self._program, self._goal = program, subjects.goal
        self._ball = subjects.ball(grid, grid.epsilons[-1])
        m, e = len(subjects.x), len(grid.epsilons)
        self._epsilons = grid.radii
        self._low, self._high = torch.full((m,), -1), torch.full((m,), e)
        zero = torch.zeros(m, dtype=torch.float64)
        self._low_at, self._high_at = zero.clone(), torch.full_like(zero, torch.inf)
        self._clean_margin, self._low_margin, self._high_margin = zero.clone(), zero.clone(), zero.clone()
        self._probes, self._guess = torch.zeros(m, dtype=torch.int64), torch.zeros(m, dtype=torch.int64)
        self._start, self._found, self._edge = (subjects.x.clone() for _ in range(3))
        self._streams = subjects.streams
        self._whole = whole
        # Whether a whole run comes next, whether one has failed at `low`, and whether that was the classifier's own.
        self._next_whole, self._failed, self._own = (torch.zeros(m, dtype=torch.bool) for _ in range(3))
        self._won_whole = torch.zeros(m, dtype=torch.bool)  # `found` is of a whole run at `high`
        self.itself = False  # the classifier itself searches
        self._queue: deque[int] = deque()
        self.forwards = torch.zeros(m, e, dtype=torch.int64)
        self.backwards = torch.zeros(m, e, dtype=torch.int64)

    @property
    def found(self) -> Tensor:
        """(m, ...) the points that broke each image; the image where none did."""
        return self._found

    @property
    def high(self) -> Tensor:
        """(m,) position of the smallest budget at which each image was broken; the number of budgets where none was."""
        return self._high.clone()

    @property
    def broken(self) -> Tensor:
        """Positions of the images that were broken."""
        return (self._high < len(self._epsilons)).nonzero()[:, 0]

    def estimate(self, model: Model, num_lanes: int) -> None:
        """One gradient per image: the margin, the linear distance, and a first step along the gradient."""
        for part in torch.arange(len(self._start)).split(num_lanes):
            ball, goal = take(self._ball, part), take(self._goal, part)
            point = Point(ball.center, against(model, goal, margin))
            grad = slope(point, ball)
            value = point.score.value.double().cpu()
            size = ball.norm.dual_size(grad).double().cpu().clamp_min(1e-30)
            self._low_margin[part] = lead(point.score.logits, goal).double().cpu().clamp_max(-1e-12)
            at = FIRST_GUESS * -value / size
            self._guess[part] = torch.searchsorted(self._epsilons, at).clamp_max(len(self._epsilons) - 1)
            radius = self._epsilons[self._guess[part]].to(ball.center)
            self._start[part] = ball.center + ball.move(grad, ball.center, radius)
            self.forwards[part, self._guess[part]] += 1
            self.backwards[part, self._guess[part]] += 1
            self._queue.extend(part.tolist())
        self._clean_margin = self._low_margin.clone()

    def jobs(self, count: int) -> Lanes | None:
        """New lanes for images that wait, at their guessed budget, from their best start or that of a whole run."""
        if not self._queue or not count:
            return None
        item = torch.tensor([self._queue.popleft() for _ in range(min(count, len(self._queue)))])
        slot, whole, device = self._guess[item], self._next_whole[item], self._start.device
        here, ball = item.to(device), self._at(item, slot)
        start = ball.project(self._start[here])
        for k in slot[whole].unique().tolist():
            at = (whole & (slot == k)).nonzero()[:, 0].to(device)
            # The same random numbers as where every budget is attacked on its own.
            start[at] = self._program.first(take(ball, at), take(self._streams, here[at]).child(k))
        goal = take(self._goal, here)
        return open_lanes(self._program, here, slot.to(device), goal, ball, start, whole.to(device))

    def _at(self, item: Tensor, slot: Tensor) -> Ball:
        """The balls of some images, each at its budget."""
        ball = take(self._ball, item.to(self._ball.center.device))
        return ball._replace(radius=self._epsilons[slot].to(ball.center))

    def finished(self, done: Done) -> None:
        """Count the gradients, narrow the bracket of each image, and queue it again unless all is known of it."""
        items, slots, reached = done.item, done.slot, done.reached
        for counts in (self.forwards, self.backwards):
            counts.index_put_((items, slots), done.age, accumulate=True)
        best, where = done.best.double(), items.to(done.x.device)
        distance = take(self._ball, where).distance(done.x).double().cpu()
        self._start[where] = done.x
        wins, losses = (kind.nonzero()[:, 0] for kind in (reached, ~reached))
        won, lost = items[wins], items[losses]
        self._found[won.to(where.device)] = done.x[wins.to(where.device)]
        # A point nearer than its budget closes larger gaps; half a unit in the last place is not nearer.
        nearest = torch.searchsorted(self._epsilons, distance[wins] * (1 - 1e-6))
        floor = torch.where(done.whole[wins], 0, self._low[won] + 1)
        self._high[won] = torch.maximum(torch.minimum(nearest, slots[wins]), floor)
        self._high_at[won], self._high_margin[won] = distance[wins], best[wins].clamp_min(0)
        self._won_whole[won] = done.whole[wins] & (self._high[won] == slots[wins])
        below = won[self._low[won] >= self._high[won]]
        self._low[below], self._failed[below] = self._high[below] - 1, False
        self._low[lost], self._low_at[lost] = slots[losses], self._epsilons[slots[losses]]
        self._low_margin[lost] = best[losses].clamp_max(-1e-12)
        self._edge[lost.to(where.device)] = done.x[losses.to(where.device)]
        self._failed[lost], self._own[lost] = done.whole[losses], done.whole[losses] & self.itself
        self._probes[items] += ~done.whole
        self._requeue(items)

    def _requeue(self, items: Tensor) -> None:
        """Guess the next budget of the images whose bracket is open; a whole run for those where it is closed."""
        closed = self._high[items] - self._low[items] <= 1
        if self._whole:
            last = items[closed & (self._low[items] >= 0) & ~self._failed[items]]
            self._queue_whole(last, self._low[last])
        open_ = items[~closed]
        if not len(open_):
            return
        low, high = self._low[open_], self._high[open_]
        broken = high < len(self._epsilons)
        m0, m1 = self._low_margin[open_], self._high_margin[open_]
        at0, at1 = self._low_at[open_], self._high_at[open_]
        share = (-m0 / (m1 - m0).clamp_min(1e-12)).clamp(0, 1)
        # Without a success yet the margin is continued from the clean image through the last failure.
        gain = (m0 - self._clean_margin[open_]).clamp_min(1e-12) / at0.clamp_min(1e-30)
        root = torch.where(broken, at0 + share * (at1.nan_to_num(0, 0) - at0), at0 - 1.1 * m0 / gain)
        guess = torch.searchsorted(self._epsilons, root)
        guess = torch.where(self._probes[open_] > MOST_GUESSES, (low + high) // 2, guess)
        guess = torch.maximum(guess, low + 1)
        # Where all below the success should fail, the whole run that a failure needs is made at once.
        sure = broken & (guess >= high) if self._whole else torch.zeros_like(broken)
        self._queue_whole(open_[sure], high[sure] - 1)
        self._queue_search(open_[~sure], torch.minimum(guess, high - 1)[~sure])

    def _queue_search(self, items: Tensor, guess: Tensor) -> None:
        self._guess[items], self._next_whole[items] = guess, False
        self._queue.extend(items.tolist())

    def _queue_whole(self, items: Tensor, at: Tensor) -> None:
        self._guess[items], self._next_whole[items], self._failed[items] = at, True, False
        self._queue.extend(items.tolist())

    def claims(self, items: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor, Ball]]:
        """(items, points, balls) of images said to be broken, a batch at a time: for the classifier to judge."""
        for part in items.split(batch_size):
            yield part, self._found[part.to(self._found.device)], self._at(part, self._high[part])

    def near_failures(self, shortfall: float, batch_size: int) -> Iterator[tuple[Tensor, Tensor, Ball]]:
        """(items, points, balls) of searches that failed by less than shortfall."""
        for part in self._close(shortfall).split(batch_size):
            yield part, self._edge[part.to(self._edge.device)], self._at(part, self._low[part])

    def _close(self, shortfall: float) -> Tensor:
        return ((self._low >= 0) & (self._low_margin > -shortfall)).nonzero()[:, 0]

    def broken_at_low(self, won: Tensor) -> None:
        """The classifier says that the failures of these images were successes."""
        self._high[won] = self._low[won]
        self._found[won.to(self._found.device)] = self._edge[won.to(self._edge.device)]
        self._low[won] -= 1
        self._failed[won] = False
        self._requeue(won)

    def look_again(self, shortfall: float) -> None:
        """Queue the images whose search failed by less than shortfall once more, from where it ended."""
        again = self._close(shortfall)
        self._start[again.to(self._start.device)] = self._edge[again.to(self._edge.device)]
        at = self._low[again]
        self._low[again], self._failed[again] = at - 1, False
        self._queue_search(again, at)

    def ask_itself(self, most: int) -> Tensor:
        """Queue whole runs of the images that came nearest to a success without the classifier; returns them."""
        left = ((self._low >= 0) & self._failed & ~self._own).nonzero()[:, 0]
        asked = left[self._low_margin[left].argsort(descending=True, stable=True)[:most]]
        self._queue_whole(asked, self._low[asked])
        return asked

    def reopen(self, doubtful: Tensor, up: int) -> Tensor:
        """Queue images again, `up` budgets above the one that was claimed, from the point in question; returns them."""
        at = self._high[doubtful] + up
        doubtful, at = doubtful[at < len(self._epsilons)], at[at < len(self._epsilons)]
        self._start[doubtful.to(self._start.device)] = self._found[doubtful.to(self._found.device)]
        if up:
            self._low[doubtful], self._low_at[doubtful] = at - up, self._epsilons[at - up]
            # A whole run that won by less than rounding has failed.
            self._failed[doubtful] = self._won_whole[doubtful]
        self._high[doubtful] = len(self._epsilons)
        self._high_at[doubtful] = torch.inf
        self._queue_search(doubtful, at)
        return doubtful
