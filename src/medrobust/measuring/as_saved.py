"""What is left of an attack after the image was saved: larger budgets may use a longer step in the same direction."""

from __future__ import annotations

import torch
from torch import Tensor

from ..engine.tree import take
from ..norms import per_sample
from ..threat import not_above
from .outcome import Model, Outcome
from .subjects import Subjects
from .verify import survives


def extend_saved(outcome: Outcome, subjects: Subjects, found: Tensor, model: Model, batch_size: int) -> None:
    """Fill in `survives` above the smallest budget of each image.

    The smallest change that flips an answer lies at the decision boundary and often does not survive rounding to stored
    units, while a larger budget allows a longer step in the same direction, which may. What survives at one budget is
    allowed at every larger one. This costs forwards only, which count as checks, not as attacks.

    Args:
        outcome: with a verdict from the smallest budget of each image on; changed in place.
        subjects: the m images.
        found: (m, ...) the points of that budget.
        model: the classifier.
        batch_size: images shown to it at once.
    """
    if not outcome.grid.norm.has_slope:  # a larger budget lets no longer step
        return
    reached = outcome.reached
    high = torch.where(reached.any(1), reached.int().argmax(1), reached.shape[1])
    ball = subjects.ball(outcome.grid, outcome.grid.epsilons[-1])
    for j, epsilon in enumerate(outcome.grid.epsilons):
        open_ = ((high < j) & reached[:, j] & ~outcome.survives[:, j]).nonzero()[:, 0]
        for part in open_.split(batch_size):
            where = part.to(found.device)
            own = take(ball, where)
            own = own._replace(radius=not_above(epsilon, own.radius).expand_as(own.radius))
            d = found[where] - own.center
            longer = own.center + d * per_sample(epsilon / own.norm.size(d).clamp_min(1e-30), d)
            units = subjects.units[where.to(subjects.units.device)]
            kept = survives(model, own.project(longer), own, take(subjects.goal, where), units)
            outcome.survives[part[kept.cpu()], j:] = True
