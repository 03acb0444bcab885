"""Rules that give each training image its own budget."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..numbers import parse_number
from .distributed import gathered


class Feedback(NamedTuple):
    """How the attack on each image went, all (n,): loss of the example, whether it won (bool), its distance."""

    loss: Tensor
    reached: Tensor
    distance: Tensor


class EpsilonRule(nn.Module):
    """rule(index) -> epsilon (n,), for the training images at positions index (n,). What it remembers is a buffer."""

    epoch: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))

    def forward(self, index: Tensor) -> Tensor:
        """(n,) the budgets of the images at index (n,)."""
        raise NotImplementedError

    def record(self, index: Tensor, feedback: Feedback) -> None:
        """Learn from what happened to these images, and to those of the other processes."""
        self.update(gathered(index), Feedback(*(gathered(value) for value in feedback)))

    def update(self, index: Tensor, feedback: Feedback) -> None:
        """Learn from what happened to these images."""

    def end_epoch(self) -> None:
        """Called after every epoch."""
        self.epoch += 1


class Constant(EpsilonRule):
    """The same budget for every image, always.

    Example:
        >>> Constant("50%")(torch.tensor([3, 1]))
        tensor([0.5000, 0.5000])
    """

    value: Tensor

    def __init__(self, epsilon: float | str) -> None:
        super().__init__()
        self.register_buffer("value", torch.tensor(parse_number(epsilon, "epsilon")))

    def forward(self, index: Tensor) -> Tensor:
        return self.value.to(index.device).expand(len(index))


class WarmUp(EpsilonRule):
    """Another rule's budget, times (epoch + 1) / (num_epochs + 1) while warming up: training starts almost clean.

    Example:
        >>> rule = WarmUp(Constant(1.0), num_epochs=1)
        >>> first = rule(torch.tensor([0])); rule.end_epoch()
        >>> float(first), float(rule(torch.tensor([0])))
        (0.5, 1.0)
    """

    def __init__(self, rule: EpsilonRule, num_epochs: int) -> None:
        super().__init__()
        self.rule = rule
        self.num_epochs = num_epochs

    def forward(self, index: Tensor) -> Tensor:
        share = ((self.epoch + 1) / (self.num_epochs + 1)).clamp_max(1)
        return self.rule(index) * share

    def update(self, index: Tensor, feedback: Feedback) -> None:
        self.rule.update(index, feedback)

    def end_epoch(self) -> None:
        super().end_epoch()
        self.rule.end_epoch()


class Adaptive(EpsilonRule):
    """A budget for each image that grows while attacks on it fail (AMAT; Li et al. 2024, arXiv:2403.06798, eq. 5).

    Where the adversarial loss is below the threshold, the budget grows by `growth`; elsewhere it becomes the mean of
    itself and the distance of the adversarial example. With threshold=None, as in the public code of this line of work,
    it grows where the attack failed, and elsewhere becomes the distance, which should then be that of the crossing
    point. It always stays from 0 to largest.

    Args:
        num_images: of the training set; index counts in it.
        start, growth, largest: in the units of epsilon.
        threshold: of the cross-entropy; by default ln 2, the loss at a probability of one half.

    Example:
        >>> rule = Adaptive(3, start=1.0, growth=0.1, largest=2.0)
        >>> index, reached = torch.tensor([0, 2]), torch.tensor([False, True])
        >>> rule.update(index, Feedback(torch.tensor([0.1, 5.0]), reached, torch.tensor([1.0, 0.5])))
        >>> rule(torch.arange(3))
        tensor([1.1000, 1.0000, 0.7500])
    """

    value: Tensor

    def __init__(
        self, num_images: int, *, start: float, growth: float, largest: float, threshold: float | None = math.log(2)
    ) -> None:
        super().__init__()
        self.growth, self.largest, self.threshold = growth, largest, threshold
        self.register_buffer("value", torch.full((num_images,), float(start)))

    def forward(self, index: Tensor) -> Tensor:
        return self.value[index.to(self.value.device)].to(index.device)

    def update(self, index: Tensor, feedback: Feedback) -> None:
        index = index.to(self.value.device)
        loss, reached, distance = (value.to(self.value.device) for value in feedback)
        now = self.value[index]
        distance = distance.to(now.dtype)
        if self.threshold is None:
            new = torch.where(reached, distance, now + self.growth)
        else:
            new = torch.where(loss < self.threshold, now + self.growth, (now + distance) / 2)
        self.value[index] = new.clamp(0, self.largest)
