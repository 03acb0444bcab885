"""Metrics of the answers to unchanged images, each with its interval."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .intervals import UNDEFINED, Estimate, Grouping, area_interval, mean_of, wilson

__all__ = ["Estimate", "Grouping", "auroc", "clean_metrics", "wilson"]

NEAR_ONE = 1e-3  # probabilities nearer to 1 are told apart by what is left for the other classes


class Part(NamedTuple):
    """A number of one class, what each image adds to it beyond its expectation (n,), and the images it speaks of."""

    found: Estimate
    influence: np.ndarray
    touched: np.ndarray


def rate(hit: np.ndarray, among: np.ndarray, grouping: Grouping) -> Part:
    found = grouping.mean(hit, among)
    value = 0.0 if math.isnan(found.value) else found.value
    return Part(found, np.where(among, hit - value, 0.0) / max(among.sum(), 1), among)


def f1_part(hit: np.ndarray, union: np.ndarray, grouping: Grouping) -> Part:
    """F1 = 2 J / (1 + J) of the share J of hits among the images that are of a class or are read as it.

    J is a plain proportion, so its interval gives that of F1.
    """
    part = rate(hit, union, grouping)
    return part._replace(found=Estimate(*(2 * end / (1 + end) for end in vars(part.found).values())))


def placements(truth: np.ndarray, score: np.ndarray) -> np.ndarray:
    """(n,) of each image the share of the other kind that it is on the right side of, ties half."""
    out = np.empty(len(score))
    for mine, others in ((truth, np.sort(score[~truth])), (~truth, np.sort(score[truth]))):
        below = sum(np.searchsorted(others, score[mine], side) for side in ("left", "right")) / (2 * len(others))
        out[mine] = below if mine is truth else 1 - below
    return out


def area_part(truth: np.ndarray, score: np.ndarray, grouping: Grouping) -> Part | None:
    """The area of one class against the rest; None without images of both kinds or with a score that is no number.

    With groups, both numbers of images are divided by the design effect: the variance of the placements summed over
    groups, over their variance as single images (Obuchowski 1997, doi:10.2307/2533958), at least 1. Where nothing
    varies the numbers are those of the groups, and no area has a higher lower end than perfect separation has.
    """
    if truth.all() or not truth.any() or np.isnan(score).any():
        return None
    placed = placements(truth, score)
    value = float(placed[truth].mean())
    influence = (placed - value) / np.where(truth, truth.sum(), (~truth).sum())
    numbers = np.array([truth.sum(), (~truth).sum()], dtype=float)
    found = area_interval(value, *numbers)
    if grouping.clustered:
        groups = (grouping.sums(np.stack([truth, ~truth], 1)) > 0).sum(0).astype(float)
        alone, together = (influence**2).sum(), (grouping.sums(influence[:, None]) ** 2).sum()
        g = grouping.num_groups
        design = max(together / alone * g / (g - 1), 1.0) if alone > 0 and g > 1 else 1.0
        found = area_interval(value, *np.maximum(numbers / design, 1))
        perfect, reversed_ = area_interval(1.0, *groups), area_interval(0.0, *groups)
        found = Estimate(value, min(found.low, perfect.low), max(found.high, reversed_.high))
    return Part(found, influence, np.ones(len(truth), dtype=bool))


def ranks(scores: np.ndarray, k: int) -> np.ndarray:
    """Probabilities of class k in an order that float32 near 1 does not blur: -(sum of the others) tells them apart."""
    p, rest = scores[:, k].astype(np.float64), np.delete(scores, k, 1).sum(1, dtype=np.float64)
    return np.where(p > 1 - NEAR_ONE, -rest.astype(np.float32), p - 1)


def _areas(labels: np.ndarray, scores: np.ndarray, positive: int, grouping: Grouping) -> list[Part]:
    classes = [positive] if scores.shape[1] == 2 else range(scores.shape[1])
    found = [area_part(labels == k, ranks(scores, k), grouping) for k in classes]
    return [part for part in found if part is not None]


def mean_part(parts: list[Part], grouping: Grouping) -> Estimate:
    known = [part for part in parts if not math.isnan(part.found.value)]
    if not known:
        return UNDEFINED
    influence = grouping.sums(np.stack([part.influence for part in known], 1))
    touched = grouping.sums(np.stack([part.touched for part in known], 1)) > 0
    return mean_of([part.found for part in known], influence, touched)


def auroc(labels: np.ndarray, scores: np.ndarray, positive: int) -> float:
    """Area under the ROC curve, the share of pairs in the right order, ties half.

    For several classes the mean over classes, one against the rest; a class without images or without others is left
    out. NaN with one class only, or where a score is no number.

    Args:
        labels: (n,) true classes.
        scores: (n, k) probabilities.
        positive: the class, where there are two.

    Example:
        >>> auroc(np.array([0, 1, 0, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3]]), 1)
        0.75
    """
    alone = Grouping(np.arange(len(labels)))
    return mean_part(_areas(labels, scores, positive, alone), alone).value


def _precision_part(hit: np.ndarray, labels: np.ndarray, read: np.ndarray, k: int, grouping: Grouping) -> Part | None:
    """The precision of a class; of one that no image is read as it counts as 0, as in scikit-learn, and may be any."""
    if read.any():
        return rate(hit, read, grouping)
    nothing = np.zeros(len(hit))
    return Part(Estimate(0.0, 0.0, 1.0), nothing, labels == k) if (labels == k).any() else None


def clean_metrics(
    labels: np.ndarray, predictions: np.ndarray, scores: np.ndarray, grouping: Grouping, positive: int = 1
) -> dict[str, Estimate]:
    """Accuracy, balanced accuracy, sensitivity, specificity, precision, F1, AUROC, each with its interval.

    A metric that compares classes is not defined where the images are of one class only: balanced accuracy, precision,
    F1, AUROC. With more than two classes, those without images are left out of the means, as in scikit-learn.

    Args:
        labels: (n,) true classes.
        predictions: (n,) predicted classes.
        scores: (n, k) probabilities.
        grouping: the groups of the images.
        positive: class index that sensitivity speaks of, with two classes. More classes give macro averages.

    Example:
        >>> y = np.array([0] * 10 + [1] * 10)
        >>> found = clean_metrics(y, y, np.eye(2)[y], Grouping(np.arange(20) // 2))
        >>> [(name, round(found[name].low, 3), found[name].high) for name in ("accuracy", "sensitivity", "f1")]
        [('accuracy', 0.722, 1.0), ('sensitivity', 0.566, 1.0), ('f1', 0.722, 1.0)]
    """
    classes, hit = range(scores.shape[1]), labels == predictions
    recalls = [rate(hit, labels == k, grouping) for k in classes]
    compared = len(np.unique(labels)) > 1
    out = {
        "accuracy": grouping.mean(hit),
        "balanced_accuracy": mean_part(recalls, grouping) if compared else UNDEFINED,
    }
    f1 = [f1_part(hit, (labels == k) | (predictions == k), grouping) for k in classes]
    if len(classes) > 2:
        out["macro_f1"] = mean_part(f1, grouping) if compared else UNDEFINED
        out["macro_sensitivity"] = out["balanced_accuracy"]
        own = [_precision_part(hit, labels, predictions == k, k, grouping) for k in classes]
        out["precision"] = mean_part([part for part in own if part], grouping) if compared else UNDEFINED
    else:
        out["sensitivity"] = recalls[positive].found
        out["specificity"] = recalls[1 - positive].found
        out["precision"] = grouping.mean(hit, predictions == positive) if compared else UNDEFINED
        out["f1"] = f1[positive].found if compared else UNDEFINED
    return out | {"auroc": mean_part(_areas(labels, scores, positive, grouping), grouping)}
