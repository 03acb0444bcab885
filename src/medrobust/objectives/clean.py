"""Training without an adversary."""

from __future__ import annotations

from typing import Any

from ..data.images.batch import Batch
from ..models.classifier import Classifier
from .base import TrainingLoss, TrainingObjective, clean_loss


class Clean(TrainingObjective):
    """Cross-entropy on the images as they are.

    Example:
        >>> import torch
        >>> model = Classifier(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)), channels=1)
        >>> batch = Batch(torch.rand(3, 1, 2, 2), torch.tensor([0, 1, 0]), torch.arange(3))
        >>> sorted(Clean()(model, batch).parts)
        ['accuracy', 'clean_loss']
    """

    robust = False

    def loss(self, model: Classifier, batch: Batch, found: Any) -> TrainingLoss:
        return clean_loss(model(batch.x), batch.y)
