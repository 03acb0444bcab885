"""What the adversary wants: a wrong answer, or a certain one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


def as_classes(logits: Tensor) -> Tensor:
    """One logit z per sample, (n,) or (n, 1), as the two logits (0, z). Others pass as they are.

    Class 1 is the positive one: softmax((0, z)) = (1 - sigmoid(z), sigmoid(z)), so every loss and margin of two classes
    is exact for one logit.

    Example:
        >>> as_classes(torch.tensor([[2.0]]))
        tensor([[0., 2.]])
    """
    if logits.ndim == 1:
        logits = logits[:, None]
    return torch.cat([torch.zeros_like(logits), logits], 1) if logits.shape[1] == 1 else logits


class Goal(NamedTuple):
    """Labels to leave (untargeted) or to reach (targeted).

    labels is (n,) class indices, or (n, k) zeros and ones for a multi-label head, where any changed label counts as
    leaving and all labels must agree to count as reached. With a source (n,), labels are only the direction of the
    search, away from the source: any answer but the source is a success (the targeted attacks of AutoAttack;
    arXiv:2003.01690). The source of a multi-label head is (n, k), and the labels that differ from it are the direction.
    With leave, of the shape of labels, any answer but this one is a success beside that of labels, towards which the
    losses go on to search: see `or_wrong`.
    """

    labels: Tensor
    targeted: bool
    source: Tensor | None = None
    leave: Tensor | None = None

    def reached(self, logits: Tensor) -> Tensor:
        """(n,) bool: the decision of these logits (n, k) is what the adversary wants."""
        if self.source is not None:
            return Goal(self.source, False).reached(logits)
        if self.leave is not None:
            return Goal(self.labels, self.targeted).reached(logits) | Goal(self.leave, False).reached(logits)
        if self.labels.ndim == 2:
            same = ((logits > 0) == (self.labels > 0.5)).all(1)
        else:
            same = as_classes(logits).argmax(1) == self.labels
        return same if self.targeted else ~same


GoalRule = Callable[[Tensor, Tensor], Goal]


def untargeted(logits: Tensor, y: Tensor) -> Goal:
    """Any answer but the label."""
    return Goal(y, False)


def predicted(logits: Tensor, y: Tensor) -> Goal:
    """Any answer but the one that the model gives now, right or wrong.

    The goal of Joel et al. 2021, doi:10.1101/2021.01.17.21249704.
    """
    if y.ndim == 2:
        return Goal((logits > 0).to(y), False)
    return Goal(as_classes(logits).argmax(1), False)


def runner_up(logits: Tensor, y: Tensor) -> Goal:
    """The most likely class other than the label; multi-label: the labels with the easiest one to change flipped."""
    if y.ndim == 2:
        return Goal(_flipped(logits, y, 1), True)
    return Goal(_without_label(logits, y, -torch.inf).argmax(1), True)


def _flipped(logits: Tensor, y: Tensor, rank: int) -> Tensor:
    order = (logits * (2 * y.to(logits) - 1)).argsort(1)
    which = order[:, [min(rank, y.shape[1]) - 1]]
    return y.scatter(1, which, 1 - y.gather(1, which))


def _one_class(y: Tensor) -> Tensor:
    if y.ndim != 1:
        raise ValueError("this goal names one class, a multi-label head has none; use untargeted or runner_up")
    return y


def _without_label(logits: Tensor, y: Tensor, fill: float) -> Tensor:
    return as_classes(logits).scatter(1, _one_class(y)[:, None], fill)


@dataclass(frozen=True)
class LeastLikely:
    """The class with the lowest clean score (Kurakin et al. 2017, arXiv:1607.02533).

    Args:
        exclude_label: never the true class. With False and two classes, the target of a misclassified image is its
            true class and the attack corrects it, as in Rodriguez et al. 2022 (doi:10.1186/s12911-022-01891-w).
    """

    exclude_label: bool = True

    def __call__(self, logits: Tensor, y: Tensor) -> Goal:
        _one_class(y)
        scores = _without_label(logits, y, torch.inf) if self.exclude_label else as_classes(logits)
        return Goal(scores.argmin(1), True)


@dataclass(frozen=True)
class Targeted:
    """One class for every image. An image of that class has no such goal: it counts as reached from the start."""

    label: int

    def __call__(self, logits: Tensor, y: Tensor) -> Goal:
        return Goal(torch.full_like(_one_class(y), self.label), True)


@dataclass(frozen=True)
class Towards:
    """Any wrong answer, searched in the direction of the most likely wrong class (rank 1), the next one (rank 2), ...

    Multi-label: towards the change of the label that is easiest to change, the next one, ... A rank beyond the last
    means the last one.
    """

    rank: int

    def __call__(self, logits: Tensor, y: Tensor) -> Goal:
        if y.ndim == 2:
            return Goal(_flipped(logits, y, self.rank), True, y)
        order = _without_label(logits, y, -torch.inf).argsort(1, descending=True)
        return Goal(order[:, min(self.rank, order.shape[1] - 1) - 1], True, y)


@dataclass(frozen=True)
class OrWrong:
    """What another rule wants, with any other wrong answer counting as well; see `or_wrong`."""

    rule: GoalRule

    def __call__(self, logits: Tensor, y: Tensor) -> Goal:
        goal = self.rule(logits, y)
        return goal._replace(leave=y) if goal.targeted and goal.source is None else goal


def or_wrong(rule: GoalRule) -> GoalRule:
    """The rule, with any wrong answer counting as reached: what an image is broken by in an honest measurement.

    A search for one class that lands on another wrong one has made the answer wrong. Losses still go to the class.

    Example:
        >>> goal = or_wrong(targeted(2))(torch.zeros(1, 3), torch.tensor([0]))
        >>> goal.reached(torch.tensor([[0.0, 1.0, 0.0]]))
        tensor([True])
    """
    return rule if rule in (untargeted, predicted) or isinstance(rule, (Towards, OrWrong)) else OrWrong(rule)


def least_likely(exclude_label: bool = True) -> GoalRule:
    """The goal rule LeastLikely."""
    return LeastLikely(exclude_label)


def targeted(label: int) -> GoalRule:
    """The goal rule Targeted."""
    return Targeted(label)


GOALS: dict[str, GoalRule] = {
    "untargeted": untargeted,
    "predicted": predicted,
    "runner_up": runner_up,
    "least_likely": LeastLikely(),
    "least_likely_any": LeastLikely(exclude_label=False),
}
