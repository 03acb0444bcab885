"""Rules that give each training image its own budget."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class EpsilonRule(nn.Module):
    """rule(index) -> epsilon (n,), for the training images at these positions. What it remembers is a buffer."""

    epoch: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))

    def forward(self, index: Tensor) -> Tensor:
        raise NotImplementedError

    def update(self, index: Tensor, outcome: Tensor) -> None:
        """Learn from what happened to these images; the meaning of outcome (n,) is the rule's."""

    def end_epoch(self) -> None:
        self.epoch += 1


class Constant(EpsilonRule):
    """The same budget for every image, always.

    Example:
        >>> Constant(0.5)(torch.tensor([3, 1]))
        tensor([0.5000, 0.5000])
    """

    value: Tensor

    def __init__(self, epsilon: float) -> None:
        super().__init__()
        self.register_buffer("value", torch.tensor(float(epsilon)))

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

    def update(self, index: Tensor, outcome: Tensor) -> None:
        self.rule.update(index, outcome)

    def end_epoch(self) -> None:
        super().end_epoch()
        self.rule.end_epoch()
