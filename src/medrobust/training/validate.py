"""How good the model is after an epoch, clean and under attack, on validation images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from ..attacks.base import Attack
from ..data.images.batch import Batch
from ..models.classifier import Classifier
from ..models.search_copy import search_copy
from ..streams import Streams
from ..threat import Threat

CLEAN_METRICS = ("accuracy", "balanced_accuracy", "loss")
METRICS = (*CLEAN_METRICS, "robust_accuracy", "robust_balanced_accuracy", "mean_balanced_accuracy")


def validate(
    model: Classifier,
    batches: Iterable[Batch],
    *,
    attack: Attack | None,
    threat: Threat,
    seed: int,
    attacked: Tensor | None = None,
    fast: bool = False,
    reduce: Callable[[Tensor], Tensor] = lambda t: t,
) -> dict[str, Any]:
    """Metrics on these batches; the robust ones only with an attack.

    A search may run in low precision; every decision is taken in float32. Images that are wrong without an attack are
    wrong with it, and are not attacked. The attack draws the same numbers in every epoch, so that epochs can be
    compared.

    Args:
        model: the classifier.
        batches: validation images; index is the position in the whole set.
        attack, threat: the adversary; None attacks nothing.
        seed: of the attack's random numbers.
        attacked: (number of validation images,) bool, which are attacked; all by default.
        fast: search on a copy in low precision.
        reduce: adds a tensor up over all processes.

    Returns: accuracy, balanced_accuracy, loss (mean cross-entropy) and predicted (share of each class among the
        answers); with an attack also robust_accuracy, robust_balanced_accuracy and mean_balanced_accuracy (the mean of
        the clean and the robust one).
    """
    device = model.mean.device
    num_classes = model.num_classes
    # Per class: images, right answers, answers, attacked images, and right answers under attack.
    counts = torch.zeros(5, num_classes, dtype=torch.float64, device=device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    searcher: Classifier | None = None
    with model.frozen():
        for batch in batches:
            x, y, index = (t.to(device) for t in batch)
            with torch.no_grad():
                logits = model(x)
            right = logits.argmax(1) == y
            loss += torch.nn.functional.cross_entropy(logits, y, reduction="sum")
            _count(counts[0], y)
            _count(counts[1], y[right])
            _count(counts[2], logits.argmax(1))
            if attack is not None:
                chosen = torch.ones_like(right) if attacked is None else attacked.to(device)[index]
                _count(counts[3], y[chosen])
                todo = (right & chosen).nonzero()[:, 0]
                if len(todo):
                    if searcher is None:
                        searcher = search_copy(model, x, "fast")[0] if fast else model
                    survived = _survivors(model, attack, x[todo], y[todo], index[todo], threat, seed, searcher)
                    _count(counts[4], y[todo][survived])
    counts, loss = reduce(counts), reduce(loss)
    total, hits, predicted, attacked, robust = counts
    metrics = _accuracies("", hits, total)
    metrics |= {"loss": float(loss / total.sum()), "predicted": [float(v) for v in predicted / total.sum()]}
    if attack is not None:
        metrics |= _accuracies("robust_", robust, attacked)
        metrics["mean_balanced_accuracy"] = (metrics["balanced_accuracy"] + metrics["robust_balanced_accuracy"]) / 2
    return metrics


def _survivors(
    model: Classifier,
    attack: Attack,
    x: Tensor,
    y: Tensor,
    index: Tensor,
    threat: Threat,
    seed: int,
    searcher: Classifier,
) -> Tensor:
    keys = Streams.of(seed, ["validation"], x.device).keys.expand(len(x))
    x_adv = attack(searcher, x, y, threat, generator=Streams(keys).child(index))
    with torch.no_grad():
        return model(x_adv).argmax(1) == y


def evenly(limit: int | None, n: int) -> Tensor | None:
    """(n,) bool: `limit` positions, evenly spread over a set that may be sorted by class; None for all of them.

    Example:
        >>> evenly(2, 6)
        tensor([False, False,  True, False, False,  True])
    """
    if limit is None or limit >= n:
        return None
    position = torch.arange(n)
    return (position + 1) * limit // n > position * limit // n


def _count(row: Tensor, labels: Tensor) -> None:
    row += torch.bincount(labels, minlength=len(row))


def _accuracies(prefix: str, hits: Tensor, total: Tensor) -> dict[str, Any]:
    present = total > 0
    return {
        f"{prefix}accuracy": float(hits.sum() / total.sum()),
        f"{prefix}balanced_accuracy": float((hits[present] / total[present]).mean()),
    }
