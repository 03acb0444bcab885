"""Attack losses: (logits, goal) -> (n,), larger is better for the adversary, targeted or not. Signs live only here."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .goals import Goal, as_classes

Loss = Callable[[Tensor, Goal], Tensor]


def _own_and_rival(scores: Tensor, goal: Goal) -> tuple[Tensor, Tensor]:
    own = scores.gather(1, goal.labels[:, None])[:, 0]
    if goal.source is not None:
        return own, scores.gather(1, goal.source[:, None])[:, 0]
    return own, scores.scatter(1, goal.labels[:, None], -torch.inf).amax(1)


def cross_entropy(logits: Tensor, goal: Goal) -> Tensor:
    """Cross-entropy of the labels; minus that when they are a target. Multi-label: the sum of the binary ones.

    Example:
        >>> from medrobust.goals import Goal
        >>> z = torch.tensor([[2.0, 0.0]])
        >>> bool(cross_entropy(z, Goal(torch.tensor([1]), False)) > cross_entropy(z, Goal(torch.tensor([0]), False)))
        True
    """
    if goal.labels.ndim == 2:
        value = F.binary_cross_entropy_with_logits(logits, goal.labels.to(logits), reduction="none")
        value = (value if goal.source is None else value * (goal.labels != goal.source)).sum(1)
    else:
        value = F.cross_entropy(as_classes(logits), goal.labels, reduction="none")
    return -value if goal.targeted else value


def margin(logits: Tensor, goal: Goal) -> Tensor:
    """Best other logit minus the label's: above 0 exactly when the goal is reached.

    Targeted: the target's logit minus the best other. Multi-label: the label easiest to change, or for a target the
    one that is farthest from it (Carlini & Wagner 2017, arXiv:1608.04644).
    """
    if goal.labels.ndim == 2:
        agreement = logits * (2 * goal.labels.to(logits) - 1)
        if goal.source is not None:
            agreement = agreement.masked_fill(goal.labels == goal.source, torch.inf)
        return agreement.amin(1) if goal.targeted else -agreement.amin(1)
    own, other = _own_and_rival(as_classes(logits), goal)
    return own - other if goal.targeted else other - own


def lead(logits: Tensor, goal: Goal) -> Tensor:
    """How far the answer is on the side of the adversary: above 0 exactly when the goal is reached.

    The margin, but where more counts as reached than what the search goes to (`Goal.source`, `Goal.leave`).

    Example:
        >>> goal, z = Goal(torch.tensor([2]), True, leave=torch.tensor([0])), torch.tensor([[0.0, 3.0, 1.0]])
        >>> margin(z, goal), lead(z, goal)
        (tensor([-2.]), tensor([3.]))
    """
    if goal.source is not None:
        return margin(logits, Goal(goal.source, False))
    if goal.leave is not None:
        return torch.maximum(margin(logits, goal), margin(logits, Goal(goal.leave, False)))
    return margin(logits, goal)


def soft_margin(logits: Tensor, goal: Goal) -> Tensor:
    """The margin, with the gradient of a soft one: other classes weighted by the softmax of their logits.

    The gradient of the margin sees only the best other class, which need not be the nearest; this one sees all. The
    temperature is the standard deviation of the sample's logits, so that the scale of the logits does not matter. With
    two classes, one possible class, or several labels it is the margin.
    """
    if goal.labels.ndim == 2 or goal.source is not None:
        return margin(logits, goal)
    scores = as_classes(logits)
    own, best = _own_and_rival(scores, goal)
    temperature = scores.detach().std(1).clamp_min(1e-12)
    others = scores.scatter(1, goal.labels[:, None], -torch.inf) / temperature[:, None]
    soft = temperature * others.logsumexp(1)
    other = best.detach() + (soft - soft.detach())
    return own - other if goal.targeted else other - own


def probability_margin(logits: Tensor, goal: Goal) -> Tensor:
    """The margin of the softmax probabilities (Xie et al. 2024, arXiv:2411.15210); multi-label: of the sigmoids."""
    if goal.labels.ndim == 2:
        return margin(logits.sigmoid() - 0.5, goal)
    return margin(as_classes(logits).softmax(1), goal)


def dlr(logits: Tensor, goal: Goal) -> Tensor:
    """Difference of logits ratio (Croce & Hein 2020, arXiv:2003.01690): the margin over a difference of top logits.

    Errors: ValueError with fewer than 3 classes (4 when targeted), where it is undefined.
    """
    needed = 4 if goal.targeted else 3
    if goal.labels.ndim == 2 or as_classes(logits).shape[1] < needed:
        kind = "targeted DLR" if goal.targeted else "DLR"
        raise ValueError(f"{kind} needs at least {needed} classes; use the margin loss")
    top = logits.topk(needed, dim=1).values
    scale = top[:, 0] - ((top[:, 2] + top[:, 3]) / 2 if goal.targeted else top[:, 2])
    return margin(logits, goal) / (scale + 1e-12)


LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "margin": margin,
    "soft_margin": soft_margin,
    "probability_margin": probability_margin,
    "dlr": dlr,
}
