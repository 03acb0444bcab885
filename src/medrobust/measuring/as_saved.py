"""What is left of an attack after the image was saved: larger budgets may use a longer step in the same direction."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..engine.tree import take
from ..goals import Goal
from ..norms import per_sample
from ..threat import Ball
from .outcome import Grid, Outcome
from .verify import verify


def extend_stored(
    outcome: Outcome,
    model: Callable[[Tensor], Tensor],
    ball: Ball,
    found: Tensor,
    high: Tensor,
    goal: Goal,
    bit_depth: Tensor,
    grid: Grid,
    batch_size: int,
) -> None:
    """Fill in `survives` above the smallest budget of each image.

    The smallest change that flips an answer lies at the decision boundary and often does not survive rounding to grey
    levels, while a larger budget allows a longer step in the same direction, which does. A direction that survives at
    one budget is allowed at every larger one. Forwards only, counted as checks, not as attacks.

    Args:
        outcome: with verdicts from budget high (n,) on; its length is "not found".
        ball: around the images.
        found: (n, ...) the points of the smallest budget.
    """
    for j, epsilon in enumerate(grid.epsilons):
        open_ = ((high < j) & outcome.reached[:, j] & ~outcome.survives[:, j]).nonzero()[:, 0]
        for part in open_.split(batch_size):
            where = part.to(found.device)
            own = take(ball, where)
            own = own._replace(radius=torch.full_like(own.radius, epsilon))
            d = found[where] - own.center
            longer = own.center + d * per_sample(epsilon / own.norm.size(d).clamp_min(1e-30), d)
            verdict = verify(model, own.project(longer), own, take(goal, where), bit_depth[where.to(bit_depth.device)])
            outcome.survives[part[verdict.survives.cpu()], j:] = True
