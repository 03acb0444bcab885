"""Linear pictures of a classifier: boundaries as hyperplanes, and the shortest way to one inside the domain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ...engine.ascend import Point, Score
from ...engine.program import Model
from ...goals import Goal, as_classes
from ...losses import margin
from ...norms import Norm, per_sample
from ...threat import Ball
from .turns import scored


def room(ball: Ball, x: Tensor) -> tuple[Tensor, Tensor]:
    """How far each pixel of x may go down (<= 0) and up (>= 0): to the edge of the domain, nowhere outside the mask."""
    low, high = (ball.domain[0] - x).clamp_max(0), (ball.domain[1] - x).clamp_min(0)
    return (low, high) if ball.mask is None else (torch.where(ball.mask, low, 0), torch.where(ball.mask, high, 0))


def shortest(norm: Norm, slope: Tensor, rise: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The smallest d (n, ...) with <slope, d> = rise and low <= d <= high: onto a hyperplane inside a box, exactly.

    In linf and l2 every pixel moves by min(t v, room), v = 1 or |slope|, in the direction that helps; the rise is
    concave and piecewise linear in t, so Newton's method from t = 0 climbs to the solution in finitely many steps
    without sorting. In l1 the steepest pixels go to the edge of the box one after the other. Where the box does not
    reach the hyperplane, the corner that comes nearest to it (Croce & Hein 2020, arXiv:1907.02044, section 2).

    Args:
        norm: Linf(), L2() or L1().
        slope: (n, ...) normal of the hyperplane.
        rise: (n,) what <slope, d> must be.
        low, high: (n, ...) the box, low <= 0 <= high.

    Errors: ValueError for another norm.

    Example:
        >>> from medrobust.norms import Linf
        >>> slope, box = torch.tensor([[1.0, -2.0, 1.0]]), torch.tensor([[0.25, 1.0, 1.0]])
        >>> shortest(Linf(), slope, torch.tensor([2.5]), -box, box)
        tensor([[ 0.2500, -0.7500,  0.7500]])
    """
    up = torch.where(rise > 0, 1.0, -1.0).to(slope)
    direction = slope.flatten(1).sign() * up[:, None]
    free = torch.where(direction > 0, high.flatten(1), -low.flatten(1)) * direction.abs()
    scale = slope.flatten(1).abs().amax(1, keepdim=True)
    weight = slope.flatten(1).abs() / scale.clamp_min(torch.finfo(slope.dtype).tiny)
    need = (rise.abs()[:, None] / scale).nan_to_num(0.0)
    if norm.name == "l1":
        move = _steepest_first(weight, free, need)
    elif norm.name in ("linf", "l2"):
        move = _all_together(weight, direction.abs() if norm.name == "linf" else weight, free, need)
    else:
        raise ValueError(f"no projection onto a hyperplane for the norm {norm.name}")
    return (direction * move).reshape_as(slope)


def _all_together(weight: Tensor, speed: Tensor, free: Tensor, need: Tensor) -> Tensor:
    time = torch.zeros_like(need)
    open_ = torch.ones_like(need, dtype=torch.bool)
    stop, gain, full = free / speed, weight * speed, weight * free
    # Every round but the last puts pixels at their bounds; 3 to 5 rounds are the rule.
    for _ in range(100):
        moving = stop > time
        rate = torch.where(moving, gain, 0).sum(1, keepdim=True)
        later = (need - torch.where(moving, 0, full).sum(1, keepdim=True)) / rate
        # A rate of 0 means that all are at their bound. Rounding ends the climb where the exact one would stand still.
        open_ = open_ & (rate > 0) & (later > time)
        if not bool(open_.any()):
            break
        time = torch.where(open_, later, time)
    return torch.minimum(time * speed, free)


def _steepest_first(weight: Tensor, free: Tensor, need: Tensor) -> Tensor:
    ordered, order = weight.sort(dim=1, descending=True)
    gain = (ordered * free.gather(1, order)).double()
    left = need - (gain.cumsum(1) - gain)
    move = (left / ordered).nan_to_num(0.0).clamp_min(0).to(free)
    return torch.zeros_like(free).scatter(1, order, torch.minimum(move, free.gather(1, order)))


def rivals(logits: Tensor, goal: Goal, num_classes: int) -> Tensor:
    """(n, m) the candidates whose boundary may be the nearest: the num_classes most likely wrong classes.

    Given the logits of the clean images. Multi-label, untargeted: the labels that are easiest to change. With a target
    there is one boundary, that of the margin.
    """
    if goal.targeted:
        return torch.zeros_like(as_classes(logits)[:, :1], dtype=torch.int64)
    if goal.labels.ndim == 2:
        ease = -logits * (2 * goal.labels.to(logits) - 1)
        return ease.topk(min(num_classes, ease.shape[1]), dim=1).indices
    others = as_classes(logits).scatter(1, goal.labels[:, None], -torch.inf)
    return others.topk(min(num_classes, others.shape[1] - 1), dim=1).indices


def gaps(logits: Tensor, goal: Goal, candidates: Tensor) -> Tensor:
    """(n, m) how far each candidate is ahead, above 0 where it is: z_j - z_label.

    Multi-label: minus the agreement of the logit with its label. With a target: the margin.
    """
    if goal.targeted:
        return margin(logits, goal)[:, None]
    if goal.labels.ndim == 2:
        return -(logits * (2 * goal.labels.to(logits) - 1)).gather(1, candidates)
    scores = as_classes(logits)
    return scores.gather(1, candidates) - scores.gather(1, goal.labels[:, None])


class Boundary(NamedTuple):
    """The nearest hyperplane seen from point: gap + <slope, d> = 0, with gap (n,) and slope (n, ...)."""

    point: Point
    gap: Tensor
    slope: Tensor


class _Side(NamedTuple):
    """The boundary of one candidate, linear at the point: gap (n,), its gradient (n, ...), and how far it is (n,)."""

    gap: Tensor
    grad: Tensor
    distance: Tensor


def _sides(model: Model, x: Tensor, goal: Goal, ball: Ball, candidates: Tensor) -> tuple[Tensor, Iterator[_Side]]:
    """The logits, and the boundary of each candidate: one forward, and one backward for each that is taken."""
    with torch.enable_grad():
        asked = x.detach().requires_grad_()
        logits = model(asked)
        columns = gaps(logits, goal, candidates).unbind(1)
        sums = [column.sum() for column in columns]

    def each() -> Iterator[_Side]:
        for number, column in enumerate(columns, 1):
            (grad,) = torch.autograd.grad(sums[number - 1], asked, retain_graph=number < len(columns))
            grad, gap = ball.may(grad), column.detach()
            # The way to a boundary is that of the pixels that can go it.
            usable = ball.free(per_sample(torch.where(gap > 0, -1.0, 1.0), grad) * grad, x)
            yield _Side(gap, grad, (gap.abs() / ball.norm.dual_size(usable)).to(ball.radius).nan_to_num(torch.inf))

    return logits.detach(), each()


def distances(model: Model, x: Tensor, goal: Goal, ball: Ball, candidates: Tensor) -> Tensor:
    """(n, m) how far the boundary of each candidate is if the logits were linear; inf where nothing leads there."""
    return torch.stack([side.distance for side in _sides(model, x, goal, ball, candidates)[1]], 1)


def nearest_boundary(model: Model, x: Tensor, goal: Goal, ball: Ball, candidates: Tensor) -> Boundary:
    """Of the boundaries of the candidates (n, m), linear at x, the one that is nearest in the norm of the ball.

    One forward and m backwards; one backward for two classes, one logit, or a target.
    """
    logits, sides = _sides(model, x, goal, ball, candidates)
    gap, slope, distance = torch.zeros_like(ball.radius), torch.zeros_like(x), torch.full_like(ball.radius, torch.inf)
    gaps_seen = []
    for side in sides:
        nearer = side.distance < distance
        gap, distance = torch.where(nearer, side.gap, gap), torch.where(nearer, side.distance, distance)
        slope = torch.where(per_sample(nearer, x), side.grad, slope)
        gaps_seen.append(side.gap)
    value = torch.stack(gaps_seen, 1).amax(1)
    return Boundary(scored(x, Score(value, logits, goal.reached(logits))), gap, slope)
