"""Average precision, and predictive values at a prevalence other than that of the set."""

from __future__ import annotations

import math

import numpy as np

from .intervals import UNDEFINED, Estimate, Grouping, of_influence
from .metrics import Part, mean_part, ranks


def average_precision(truth: np.ndarray, score: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Average precision, what each image adds to it, and by how much it is too large.

    Formula: the mean over the positive images of the precision among all images that score at least as much, which is
    sum (R_n - R_{n-1}) P_n over the distinct scores; tied images enter together, as in scikit-learn. Under a weight w
    of each image, its influence is the derivative at w = 1.

    Args:
        truth: (n,) bool, at least one True and one False.
        score: (n,) numbers.

    Returns the value, (n,) influences, whose sum is 0, and by how much small samples flatter, as each positive image
    counts in its own precision: the mean over these of (1 - precision) / images that score at least as much.

    Example:
        >>> value, influence, _ = average_precision(np.array([True, False, True]), np.array([0.9, 0.8, 0.7]))
        >>> round(value, 4), bool(abs(influence.sum()) < 1e-12)
        (0.8333, True)
    """
    _, rank = np.unique(-score, return_inverse=True)  # 0 is the highest score
    positives = np.bincount(rank, truth)
    at_least = np.cumsum(np.bincount(rank))
    precision = np.cumsum(positives) / at_least
    num = truth.sum()
    value = float(positives @ precision / num)
    # An image weighs in the precision of every positive one that scores no more than it does.
    gain = np.cumsum((positives / at_least)[::-1])[::-1]
    loss = np.cumsum((positives * precision / at_least)[::-1])[::-1]
    influence = (truth * (precision[rank] - value) + truth * gain[rank] - loss[rank]) / num
    return value, influence, float(positives @ ((1 - precision) / at_least) / num)


def precision_part(truth: np.ndarray, score: np.ndarray, grouping: Grouping) -> Part | None:
    """Average precision of one class against the rest; None without images of both or with a score that is no number.

    Its interval: `of_influence` over groups, those with a positive image in number; the lower end is lower by what a
    small sample flatters.
    """
    if truth.all() or not truth.any() or np.isnan(score).any():
        return None
    value, influence, flattered = average_precision(truth, score)
    sums, speaks = grouping.sums(np.stack([influence, truth], 1)).T
    found = of_influence(value, sums, int((speaks > 0).sum()))
    found = Estimate(found.value, max(0.0, found.low - flattered), found.high)
    return Part(found, influence, np.ones(len(truth), dtype=bool))


def precisions(labels: np.ndarray, scores: np.ndarray, grouping: Grouping, positive: int) -> dict[str, Estimate]:
    """Average precision of the positive class, where there are two, and the mean over classes.

    The mean over classes is the mAP of Li et al. 2024 (arXiv:2403.06798), and their mARP on attacked images. Classes
    without images are left out of it.

    Args:
        labels: (n,) true classes.
        scores: (n, k) probabilities.
        grouping: the groups of the images.
        positive: the class, where there are two.

    Example:
        >>> y, p = np.array([0, 1, 0, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3]])
        >>> found = precisions(y, p, Grouping(np.arange(4)), 1)
        >>> {name: round(e.value, 4) for name, e in found.items()}
        {'average_precision': 0.8333, 'mean_average_precision': 0.8333}
    """
    parts = [precision_part(labels == k, ranks(scores, k), grouping) for k in range(scores.shape[1])]
    out = {"mean_average_precision": mean_part([part for part in parts if part is not None], grouping)}
    if scores.shape[1] == 2:
        own = parts[positive]
        out = {"average_precision": UNDEFINED if own is None else own.found, **out}
    return out


def predictive(hit: Part, false: Part, prevalence: float, grouping: Grouping) -> Estimate:
    """The share of those that are read as a class that are of it, at a stated prevalence.

    Formula: 1 / (1 + (1 - prevalence) / prevalence / R), R = hit rate / rate of false readings. The interval of R is
    found from those of both rates (MOVER for ratios: Donner & Zou 2012, Stat. Methods Med. Res. 21:347), so that it has
    a width where either rate is 0 or 1. A positive correlation of the rates within groups would narrow it and counts as
    none; a negative one widens it.

    Args:
        hit: of the images of the class, the share read as it.
        false: of the others, the share read as it.
        prevalence: share of the class, between 0 and 1.
        grouping: the groups of the images.

    Example:
        >>> from .metrics import rate
        >>> y, read = np.arange(40) < 20, np.arange(40) < 18
        >>> alone = Grouping(np.arange(40))
        >>> e = predictive(rate(read, y, alone), rate(read, ~y, alone), 0.01, alone); e.value, round(e.low, 3), e.high
        (1.0, 0.052, 1.0)
    """
    a, b = hit.found, false.found
    if math.isnan(a.value) or math.isnan(b.value) or (a.value == 0 == b.value):
        return UNDEFINED
    influence = grouping.sums(np.stack([hit.influence, false.influence], 1))
    length = np.sqrt((influence**2).sum(0)).prod()
    together = float(np.clip(influence[:, 0] @ influence[:, 1] / length, -1, 0)) if length > 0 else 0.0

    def end(of_a: float, of_b: float, sign: int) -> float:
        """The root R of (a - R b)^2 = da^2 + R^2 db^2 - 2 r R da db, below or above a / b."""
        da, db = abs(a.value - of_a), abs(b.value - of_b)
        square, half, rest = b.value**2 - db**2, a.value * b.value - together * da * db, a.value**2 - da**2
        root = math.sqrt(max(half**2 - square * rest, 0.0))
        if sign < 0:
            return max(rest, 0.0) / (half + root) if half + root > 0 else 0.0
        return (half + root) / square if square > 0 else math.inf

    odds = prevalence / (1 - prevalence)
    ratio = a.value / b.value if b.value > 0 else math.inf
    found = (ratio, end(a.low, b.high, -1), end(a.high, b.low, 1))
    value, low, high = (1.0 if math.isinf(r) else r * odds / (1 + r * odds) for r in found)
    return Estimate(value, min(low, value), max(high, value))
