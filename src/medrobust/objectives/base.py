"""What a training objective is: a batch in, one differentiable number out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.images.batch import Batch
from ..models.classifier import Classifier
from ..streams import Streams


class TrainingLoss(NamedTuple):
    """What one step minimizes: total () with its graph, and parts, detached numbers () worth showing."""

    total: Tensor
    parts: dict[str, Tensor]


class StandIn(Protocol):
    """Stands in for a model while searching: the same answers to within rounding, but faster."""

    def refreshed(self) -> Classifier:
        """The stand-in with the model's weights of now, frozen and in evaluation mode."""


class TrainingObjective(nn.Module):
    """objective(model, batch) -> TrainingLoss, in two stages: search (no graph), then the loss of what was found.

    The batch holds images x (n, c, *spatial), labels y (n,) and positions in the training set index (n,). The model is
    the bare network, never a wrapper of a trainer: searches run on it frozen and in evaluation mode. Randomness is a
    function of (seed, epoch, image), so a resumed run repeats itself. Everything that an objective remembers is a
    buffer: saved, resumed and moved with it.

    Args:
        seed: of the searches' random starts.
    """

    epoch: Tensor
    num_replays: int = 1  # optimizer steps taken on each batch
    robust: bool = True  # whether it should be judged under attack
    second_order: bool = False  # whether its loss contains gradients of pixels, which are differentiated again
    unlabeled: bool = False  # whether it takes images without a label, whose y is below 0
    full_budget: bool = False  # whether it trains on examples of the whole budget, the same for all images
    metric: str | None = None  # what its own judge gives, lower is better; None where answers are judged

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed
        self.stand_in: StandIn | None = None
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))

    def search(self, model: Classifier, batch: Batch) -> Any:
        """What the loss needs besides the batch, mostly adversarial examples. No gradient of parameters is taken."""
        return None

    def loss(self, model: Classifier, batch: Batch, found: Any) -> TrainingLoss:
        """The loss, given what search found."""
        raise NotImplementedError

    def forward(self, model: nn.Module, batch: Batch) -> TrainingLoss:
        """The loss of a batch (x, y, index); model may be any network that takes pixels as they are."""
        batch = Batch(*batch)
        if not isinstance(model, Classifier):
            model = Classifier(model, head="auto", channels=batch.x.shape[1])
        return self.loss(model, batch, self.search(model, batch))

    @contextmanager
    def searching(self, model: Classifier) -> Iterator[Classifier]:
        """The model as searches see it: evaluation mode, parameters frozen, autocast off."""
        with torch.autocast(self.epoch.device.type, enabled=False):
            if self.stand_in is not None:
                yield self.stand_in.refreshed()
            else:
                with model.frozen() as still:
                    yield still

    def judge(self, model: Classifier, batches: Iterable[Batch]) -> dict[str, Any]:
        """Its metric, by name, on validation images, for an objective whose model gives no answers worth judging."""
        raise NotImplementedError

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


def joint(model: Classifier, *parts: Tensor) -> tuple[Tensor, ...]:
    """Logits of several batches (n, c, *spatial) from one forward pass.

    Batch norm sees clean and adversarial images together, as its running statistics will at test time.
    """
    return model(torch.cat(parts)).split([len(part) for part in parts])


def clean_loss(logits: Tensor, y: Tensor) -> TrainingLoss:
    """Mean cross-entropy of clean images, and what to show of it."""
    total = F.cross_entropy(logits, y)
    return TrainingLoss(total, {"clean_loss": total.detach(), "accuracy": _accuracy(logits, y)})


def adversarial_loss(logits: Tensor, y: Tensor) -> TrainingLoss:
    """Mean cross-entropy of adversarial images, and what to show of it."""
    total = F.cross_entropy(logits, y)
    return TrainingLoss(total, {"adversarial_loss": total.detach(), "robust_accuracy": _accuracy(logits, y)})


def _accuracy(logits: Tensor, y: Tensor) -> Tensor:
    return (logits.detach().argmax(1) == y).float().mean()


def divergence(p_logits: Tensor, q_logits: Tensor) -> Tensor:
    """(n,) Kullback-Leibler divergence KL(softmax(p_logits) || softmax(q_logits))."""
    log_p, log_q = p_logits.log_softmax(1), q_logits.log_softmax(1)
    return (log_p.exp() * (log_p - log_q)).sum(1)
