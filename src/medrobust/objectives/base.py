"""What a training objective is: a batch in, one differentiable number out."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.batch import Batch
from ..models.classifier import Classifier
from ..streams import Streams


class Loss(NamedTuple):
    """What one step minimizes: total () with its graph, and parts, detached numbers () worth showing."""

    total: Tensor
    parts: dict[str, Tensor]


class TrainingObjective(nn.Module):
    """objective(model, batch) -> Loss, in two stages: search (no graph), then the loss of what was found.

    The model is the bare Classifier, never a wrapper of a trainer: searches run on it frozen and in evaluation mode.
    Randomness is a function of (seed, epoch, image), so a resumed run repeats itself. Everything that an objective
    remembers is a buffer: saved, resumed and moved with it.

    Args:
        seed: of the searches' random starts.
    """

    epoch: Tensor
    num_replays: int = 1  # optimizer steps taken on each batch

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))

    def search(self, model: Classifier, batch: Batch) -> Any:
        """What the loss needs besides the batch: adversarial examples, mostly. Gradients of parameters play no part."""
        return None

    def loss(self, model: Classifier, batch: Batch, found: Any) -> Loss:
        """The loss, given what search found."""
        raise NotImplementedError

    def forward(self, model: Classifier, batch: Batch) -> Loss:
        return self.loss(model, batch, self.search(model, batch))

    def after_backward(self) -> None:
        """Called between the backward pass and the optimizer's step."""

    def end_epoch(self) -> None:
        """Called after every epoch."""
        self.epoch += 1

    def streams(self, batch: Batch) -> Streams:
        """The random numbers of each image of the batch in this epoch."""
        index = batch.index.to(self.epoch.device)
        keys = Streams.of(self.seed, ["training"], index.device).keys.expand(len(index))
        return Streams(keys).child(self.epoch.expand(len(index)), index)


def accuracy(logits: Tensor, y: Tensor) -> Tensor:
    """() the share of right answers."""
    return (logits.detach().argmax(1) == y).float().mean()


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """() the mean over the batch."""
    return F.cross_entropy(logits, y)
