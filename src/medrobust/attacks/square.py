"""Square attack: random search with squares, from scores alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..engine.abilities import Abilities
from ..engine.ascend import Point, against
from ..engine.count import narrow
from ..engine.program import Model
from ..engine.tree import choose, put, take
from ..goals import GoalRule, or_wrong, untargeted
from ..losses import margin
from ..norms import Linf
from ..streams import Randomness, as_streams
from ..threat import Ball, Threat
from .parts.square_proposals import dents, first_dents, repaint, stripes

# The share of the pixels that a square covers is halved after each of these numbers of queries, of 10,000.
_HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


@dataclass(frozen=True, kw_only=True)
class Square:
    """See `square`."""

    num_queries: int = 5000
    share: float = 0.8
    rescale_schedule: bool = True
    goal: GoalRule = untargeted

    @property
    def abilities(self) -> Abilities:
        return Abilities(needs="scores", randomized=True, keeping=self._keeping)

    def _keeping(self) -> Square:
        return replace(self, goal=or_wrong(self.goal))

    def __post_init__(self) -> None:
        if self.num_queries < 1:
            raise ValueError(f"num_queries must be 1 or more, got {self.num_queries}")
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, got {self.share}")

    def covered(self, query: int) -> float:
        """The share of the pixels that the square of this query covers; queries count from 0 after the first point."""
        at = int(query / self.num_queries * 10000) if self.rescale_schedule else query
        return self.share / 2 ** sum(at > limit for limit in _HALVED_AFTER)

    def sides(self, query: int, ball: Ball) -> tuple[int, ...]:
        """The sides, in pixels, of the square (in volumes, the cube) of this query; no longer than the image."""
        spatial = ball.center.shape[2:]
        side = max(round((self.covered(query) * math.prod(spatial)) ** (1 / len(spatial))), 1)
        if not isinstance(ball.norm, Linf):
            # A dent has a middle.
            side = max(side, 3) // 2 * 2 + 1
        return tuple(min(side, size) for size in spatial)

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        generator: Randomness = None,
    ) -> Tensor:
        if x.ndim < 3:
            raise ValueError(f"square attack needs images (n, c, *spatial), got the shape {tuple(x.shape)}")
        ball, streams = threat.around(x), as_streams(generator, len(x), x.device).child("square")
        with torch.no_grad():
            logits = model(x)
        goal = self.goal(logits, y)
        result = best = x.clone()
        # Worse than any point; an image that is wrong already is left as it is.
        value, open_ = torch.full_like(ball.radius, -torch.inf), ~goal.reached(logits)
        index = torch.arange(len(x), device=x.device)
        is_linf = isinstance(ball.norm, Linf)
        for query in range(-1, self.num_queries - 1):
            if not bool(open_.all()):
                (keep,) = torch.where(open_)
                result = put(result, index, best)
                best, value, index, goal, ball, streams = take((best, value, index, goal, ball, streams), keep)
                if not len(index):
                    return result
            if query < 0:
                tried = (stripes if is_linf else first_dents)(ball, streams.child("start"))
            else:
                move = repaint if is_linf else dents
                tried = move(best, ball, self.sides(query, ball), streams.child(query))
            score = Point(tried, against(narrow(model, index), goal, margin)).score
            better = (score.value > value) | score.reached
            best, value = choose(better, (tried, score.value), (best, value))
            open_ = ~score.reached
        return put(result, index, best)


def square(
    *,
    num_queries: int = 5000,
    share: float = 0.8,
    rescale_schedule: bool = True,
    goal: GoalRule = untargeted,
) -> Square:
    """Square attack for linf, l2 and l1 (Andriushchenko et al. 2020, arXiv:1912.00049), on the margin. No gradients.

    linf: stripes of +-epsilon, then squares of +-epsilon per channel, kept when the margin moves the right way. l2 and
    l1: a grid of dents, then the change in two squares is moved into a dent in one, with what is left of the budget.
    Volumes get cubes. Every image has its own squares and signs and leaves the batch when its goal is reached.

    Args:
        num_queries: forwards after that of the image itself.
        share: share of the pixels that the first squares cover.
        rescale_schedule: whether the schedule of the sizes, written for 10,000 queries, is rescaled to num_queries.
        goal: see `medrobust.goals`.

    Errors: ValueError when num_queries < 1, share is not in (0, 1], or x has no spatial dimension.

    Where we differ from AutoAttack's code: there the squares are the same for all images of a batch and never touch the
    last row and column, and the whole budget of two squares is given to every channel and scaled down after. The paper
    gives each channel its own.

    Example:
        >>> square(num_queries=100).num_queries
        100
    """
    return Square(num_queries=num_queries, share=share, rescale_schedule=rescale_schedule, goal=goal)
