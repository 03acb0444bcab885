"""HopSkipJump: the smallest change of a model that only says which class."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ..engine.abilities import Abilities
from ..engine.count import narrow
from ..engine.program import Model, clean_goal
from ..engine.tree import choose, map_tree, put, take
from ..goals import Goal, GoalRule, or_wrong, untargeted
from ..norms import L2, Linf, per_sample
from ..streams import Randomness, Streams, as_streams
from ..threat import Ball, Threat

# Candidates shown to the model at a time; the result does not depend on it.
ROWS = 256
NUM_HALVINGS = 10
_L2 = L2()


class Walk(NamedTuple):
    """Where each sample stands: x (n, ...) a success near the boundary, the best one (n, ...), queries spent (n,).

    distance (n,) is that of x, least (n,) that of best: inf without a success.
    """

    x: Tensor
    distance: Tensor
    best: Tensor
    least: Tensor
    spent: Tensor
    ball: Ball
    goal: Goal
    streams: Streams


def _visit(model: Model, walk: Walk, x: Tensor) -> tuple[Walk, Tensor]:
    """Ask about x (n, ...), one query per sample; also says where it reached the goal (n,)."""
    won = walk.goal.reached(model(x))
    distance = torch.where(won, walk.ball.distance(x).to(walk.least), torch.inf)
    best = torch.where(per_sample(distance < walk.least, x), x, walk.best)
    return walk._replace(best=best, least=torch.minimum(distance, walk.least), spent=walk.spent + 1), won


def _where(model: Model, walk: Walk, condition: Tensor, do: Callable[..., Walk], *per_image: Tensor) -> Walk:
    """do(model, part of walk, parts of per_image) for the samples where condition (n,) holds."""
    (index,) = torch.where(condition)
    if not len(index):
        return walk
    done: Walk = put(walk, index, do(narrow(model, index), take(walk, index), *(t[index] for t in per_image)))
    return done


def _repeat(walk: Walk, times: int) -> Walk:
    """The batch several times, block after block."""
    repeated: Walk = map_tree(lambda t: t.repeat(times, *[1] * (t.ndim - 1)), walk)
    return repeated


def _try_noise(model: Model, walk: Walk, number: int) -> Walk:
    """One uniform image of the whole domain; outside the mask the image stays as it is."""
    low, high = walk.ball.domain
    noise = low + (high - low) * walk.streams.child("try", number).uniform(walk.x)
    if walk.ball.mask is not None:
        noise = torch.where(walk.ball.mask, noise, walk.ball.center)
    return _visit(model, walk, noise)[0]


def _to_boundary(model: Model, walk: Walk, x: Tensor, num_bisections: int) -> Walk:
    """Move to the smallest ball into which the successes x (n, ...) project and still succeed."""
    center, norm = walk.ball.center, walk.ball.norm
    reached, low, high = x, torch.zeros_like(walk.distance), walk.ball.distance(x).to(walk.distance)
    for _ in range(num_bisections):
        middle = (low + high) / 2
        there = center + norm.project(x - center, middle)
        walk, won = _visit(model, walk, there)
        reached = torch.where(per_sample(won, x), there, reached)
        low, high = torch.where(won, low, middle), torch.where(won, middle, high)
    return walk._replace(x=reached, distance=high)


def _slope(model: Model, walk: Walk, turn: int, num_draws: int, share: float) -> Tensor:
    """(n, ...) float64: which way success lies, from the decisions at num_draws points around walk.x."""
    low, high = walk.ball.domain
    # No shorter than float32 can resolve in each pixel.
    shortest = walk.x[0].numel() ** 0.5 * 4 * torch.finfo(walk.x.dtype).eps * max(abs(low), abs(high))
    length = per_sample((share * walk.distance).clamp_min(shortest), walk.x)
    won, moved, both = (torch.zeros_like(walk.x, dtype=torch.float64) for _ in range(3))
    at_once = max(1, ROWS // len(walk.x))
    for first in range(0, num_draws, at_once):
        numbers = torch.arange(first, min(first + at_once, num_draws), device=walk.x.device)
        many = _repeat(walk, len(numbers))
        streams = many.streams.child("turn", turn, numbers.repeat_interleave(len(walk.x)))
        u = 2 * streams.uniform(many.x) - 1 if isinstance(many.ball.norm, Linf) else streams.normal(many.x)
        u = u if many.ball.mask is None else torch.where(many.ball.mask, u, 0)
        there = (many.x + length.repeat(len(numbers), *[1] * (u.ndim - 1)) * _L2.steepest(u)).clamp(low, high)
        signs = torch.where(many.goal.reached(model(there)), 1.0, -1.0).reshape(len(numbers), -1)
        # One draw after the other, so that the sums do not depend on how many were shown at once.
        for sign_of, point in zip(signs, there.reshape(len(numbers), *walk.x.shape), strict=True):
            # What the domain left of the move counts, not what was drawn.
            sign, move = per_sample(sign_of, point).double(), (point - walk.x).double() / length
            won, moved, both = won + sign, moved + move, both + sign * move
    mean = won / num_draws
    return torch.where(mean.abs() == 1, both, both - mean * moved)


@dataclass(frozen=True)
class HopSkipJump:
    """See `hop_skip_jump`."""

    num_queries: int
    num_directions: int
    num_tries: int
    share: float
    goal: GoalRule

    @property
    def abilities(self) -> Abilities:
        return Abilities(kind="minimal", needs="labels", norms=("linf", "l2"), randomized=True, keeping=self._keeping)

    def _keeping(self) -> HopSkipJump:
        return replace(self, goal=or_wrong(self.goal))

    def __post_init__(self) -> None:
        if min(self.num_queries, self.num_directions, self.num_tries) < 1:
            raise ValueError("num_queries, num_directions and num_tries must be 1 or more")

    def _turn(self, model: Model, walk: Walk, turn: int, num_draws: int, num_bisections: int) -> Walk:
        slope = _slope(model, walk, turn, num_draws, self.share)
        walk = walk._replace(spent=walk.spent + num_draws)
        direction = walk.ball.norm.steepest(slope).to(walk.x)
        length, origin, reached = walk.distance / math.sqrt(turn), walk.x, walk.x
        landed = torch.zeros_like(walk.distance, dtype=torch.bool)
        for _ in range(NUM_HALVINGS):
            (index,) = torch.where(~landed)
            if not len(index):
                break
            there = (origin + per_sample(length, origin) * direction)[index].clamp(*walk.ball.domain)
            part, won = _visit(narrow(model, index), take(walk, index), there)
            walk, landed = put(walk, index, part), landed.index_copy(0, index, won)
            reached = reached.index_copy(0, index, there)
            length = length / 2
        return _where(model, walk, landed, partial(_to_boundary, num_bisections=num_bisections), reached)

    @torch.no_grad()
    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        generator: Randomness = None,
        start: Tensor | None = None,
    ) -> Tensor:
        ball = threat.around(x)
        if not isinstance(ball.norm, (Linf, L2)):
            raise ValueError(f"hop_skip_jump is defined for linf and l2, not for {ball.norm.name}")
        goal = clean_goal(self.goal, model, x, y)
        streams = as_streams(generator, len(x), x.device).child("hop_skip_jump")
        # A rule that looks at the clean answer has asked once.
        spent = torch.full((len(x),), int(self.goal is not untargeted), device=x.device)
        nowhere = torch.full_like(ball.radius, torch.inf)
        walk = Walk(x, nowhere, x, nowhere, spent, ball, goal, streams)
        walk, _ = _visit(model, walk, x)
        if start is not None:
            walk, _ = _visit(model, walk, start)
        for number in range(self.num_tries if start is None else 0):
            lost = walk.least.isinf() & (walk.spent < self.num_queries)
            walk = _where(model, walk, lost, partial(_try_noise, number=number))
        # Nearer to the boundary than the random moves are long.
        ratio = max(x[0].numel(), 2) ** (1 if isinstance(ball.norm, Linf) else 0.5) / self.share
        num_bisections = math.ceil(math.log2(ratio))
        turn, num_draws, cost = 0, 0, num_bisections
        while cost < self.num_queries:
            far = walk.least.isfinite() & (walk.least > 0) & (walk.spent + cost <= self.num_queries)
            if not bool(far.any()):
                break
            if turn:
                do = partial(self._turn, turn=turn, num_draws=num_draws, num_bisections=num_bisections)
                walk = _where(model, walk, far, do)
            else:
                walk = _where(model, walk, far, partial(_to_boundary, num_bisections=num_bisections), walk.best)
            turn += 1
            num_draws = int(self.num_directions * math.sqrt(turn))
            cost = num_draws + NUM_HALVINGS + num_bisections
        found: Tensor = choose(walk.least <= ball.radius, walk.best, ball.project(walk.best))
        return found


def hop_skip_jump(
    *,
    num_queries: int = 5000,
    num_directions: int = 100,
    num_tries: int = 100,
    share: float = 0.01,
    goal: GoalRule = untargeted,
) -> HopSkipJump:
    """HopSkipJump for linf and l2: the boundary attack that needs decisions only (Chen et al. 2020, arXiv:1904.02144).

    Starts at `start`, or at the first of num_tries uniform images that reaches the goal. Turn t estimates the normal of
    the boundary from the decisions at num_directions * sqrt(t) points nearby, steps along it by distance / sqrt(t),
    halved until it succeeds, and bisects back to the boundary along the projection on the ball. Returns the nearest
    success, the image itself where there is none; beyond a finite epsilon, its projection. A success within epsilon
    does not end the search: one run answers for every smaller budget too.

    The paper probes at distance / d, which float32 does not resolve for images of more than some thousand pixels; this
    probes at share * distance.

    Args:
        num_queries: forwards per image, never exceeded.
        num_directions: probes of the first turn.
        num_tries: uniform images tried as a start.
        share: length of a probe, as a share of the distance.
        goal: see `medrobust.goals`. For a target, give `start` images of that class.

    Errors: ValueError in other norms, or when a count is below 1.

    Example:
        >>> decision = lambda x: (x.flatten(1).sum(1) > 1.8).float() - 0.5
        >>> x = torch.full((1, 1, 2, 2), 0.25)
        >>> x_adv = hop_skip_jump(num_queries=2000)(decision, x, torch.tensor([0]), Threat(norm=L2()))
        >>> round(float((x_adv - x).norm()), 1)  # 0.8 / sqrt(4)
        0.4
    """
    return HopSkipJump(num_queries, num_directions, num_tries, share, goal)
