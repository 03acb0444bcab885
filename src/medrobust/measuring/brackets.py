"""What is known of each image while a curve is swept: the bracket of budgets, where searches ended, what comes next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

from ..attacks.minimal import slope
from ..engine.ascend import Point, against
from ..engine.lanes import Done, Lanes, open_lanes
from ..engine.program import Program
from ..engine.tree import take
from ..goals import Goal
from ..losses import margin
from ..norms import per_sample
from ..threat import Ball
from .outcome import Grid

Model = Callable[[Tensor], Tensor]
FIRST_GUESS = 1.25  # curvature: networks need about this much more than their linearization says
MOST_GUESSES = 3  # interpolations before plain bisection


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
