"""Numbers with intervals: the one place for statistics.

Intervals are Wilson's for proportions of independent images, and otherwise a percentile bootstrap that draws whole
groups (patients, lesions), because images of one patient are not independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

LEVEL = 0.95
BLOCK = 2**20  # counts turned into floating point at a time


@dataclass(frozen=True)
class Estimate:
    """A value and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float | None]:
        """JSON form; an undefined number is null."""
        return {name: None if np.isnan(v) else round(float(v), 6) for name, v in vars(self).items()}


def wilson(num_successes: int, n: int) -> Estimate:
    """A proportion with Wilson's score interval (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    Example:
        >>> e = wilson(9, 10); round(e.low, 3), round(e.high, 3)
        (0.596, 0.982)
    """
    from scipy.stats import binomtest

    if n == 0:
        return Estimate(float("nan"), float("nan"), float("nan"))
    interval = binomtest(num_successes, n).proportion_ci(LEVEL, method="wilson")
    return Estimate(num_successes / n, float(interval.low), float(interval.high))


@dataclass(frozen=True)
class Resampler:
    """Bootstrap weights of groups, drawn once and shared by every number of a report, so that they can be compared.

    Args:
        groups: (n,) group of each image.
        seed: of the draws.
        num_draws: bootstrap samples.
    """

    groups: np.ndarray
    seed: int = 0
    num_draws: int = 1000

    @cached_property
    def _group_of(self) -> np.ndarray:
        return np.unique(self.groups.astype(str), return_inverse=True)[1]

    @property
    def num_groups(self) -> int:
        """How many groups there are."""
        return int(self._group_of.max(initial=-1)) + 1

    @property
    def clustered(self) -> bool:
        """Whether some group has several images."""
        return self.num_groups < len(self.groups)

    @property
    def method(self) -> str:
        """How the intervals of proportions were made, in words."""
        if self.clustered:
            return f"95 % percentile bootstrap over {self.num_groups} groups, {self.num_draws} draws"
        return "95 % Wilson interval"

    @cached_property
    def _counts(self) -> np.ndarray:
        """(num_draws, num_groups) how often each group is in each draw: one byte each, and nothing per image."""
        rng = np.random.default_rng(self.seed)
        p = np.full(self.num_groups, 1 / self.num_groups)
        counts = np.empty((self.num_draws, self.num_groups), np.uint8)
        for draw in counts:
            draw[:] = rng.multinomial(self.num_groups, p).clip(max=255)
        return counts

    def weights(self, num_draws: int | None = None) -> np.ndarray:
        """(num_draws, n) how often each image is in each of the first draws."""
        return self._counts[:num_draws].astype(np.float32)[:, self._group_of]

    def sums(self, values: np.ndarray) -> np.ndarray:
        """(num_draws, k) the sum over each draw of values (n, k)."""
        groups = np.stack([np.bincount(self._group_of, column, self.num_groups) for column in values.T], 1)
        blocks = np.array_split(self._counts, max(1, self._counts.size // BLOCK))
        return np.concatenate([block.astype(np.float64) @ groups for block in blocks])

    def interval(self, value: float, draws: np.ndarray) -> Estimate:
        """The estimate whose interval is the middle 95 % of the draws that are defined."""
        draws = draws[np.isfinite(draws)]
        if not len(draws):
            return Estimate(value, float("nan"), float("nan"))
        low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Estimate(value, float(min(low, value)), float(max(high, value)))

    def mean(self, values: np.ndarray, among: np.ndarray | None = None) -> Estimate:
        """The mean of values (n,) bool among some of the images; Wilson's interval when images are independent.

        Args:
            values: (n,) bool.
            among: (n,) bool, the images that count; all by default.
        """
        among = np.ones(len(values), dtype=bool) if among is None else among
        n, hits = int(among.sum()), int((values & among).sum())
        if not self.clustered or n == 0:
            return wilson(hits, n)
        if hits in (0, n):
            # Every draw is the same: the interval of as many independent images as there are groups.
            num = len(np.unique(self._group_of[among]))
            return wilson(num if hits else 0, num)
        drawn = self.sums(np.stack([values & among, among], 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.interval(hits / n, drawn[:, 0] / drawn[:, 1])


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(b > 0, a / b, np.nan)


def _counted(confusion: np.ndarray, positive: int) -> dict[str, np.ndarray]:
    """Metrics of confusion matrices (..., true, predicted)."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    recall = _ratio(hits, confusion.sum(-1))
    precision = _ratio(hits, confusion.sum(-2))
    f1 = _ratio(2 * hits, confusion.sum(-1) + confusion.sum(-2))
    out = {
        "accuracy": _ratio(hits.sum(-1), confusion.sum((-2, -1))),
        # Classes without images do not count, as in scikit-learn.
        "balanced_accuracy": np.nanmean(np.where(confusion.sum(-1) > 0, recall, np.nan), -1),
    }
    if confusion.shape[-1] > 2:
        return out | {"macro_f1": np.nanmean(f1, -1), "macro_sensitivity": np.nanmean(recall, -1)}
    negative = 1 - positive
    return out | {
        "sensitivity": recall[..., positive],
        "specificity": recall[..., negative],
        "precision": precision[..., positive],
        "f1": f1[..., positive],
    }


def auroc(labels: np.ndarray, scores: np.ndarray, positive: int, weights: np.ndarray | None = None) -> np.ndarray:
    """(num_draws,) area under the ROC curve, the share of pairs in the right order, ties half.

    For several classes the mean over classes, one against the rest; a class without images or without others is left
    out. NaN with one class only.

    Args:
        labels: (n,) true classes.
        scores: (n, k).
        positive: the class, where there are two.
        weights: (num_draws, n) how often each image counts; by default one draw, each image once.

    Example:
        >>> auroc(np.array([0, 1, 0, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3]]), 1)
        array([0.75])
    """
    weights = np.ones((1, len(labels))) if weights is None else weights
    classes = [positive] if scores.shape[1] == 2 else range(scores.shape[1])
    blocks = np.array_split(weights, max(1, weights.size // BLOCK))
    with np.errstate(invalid="ignore", divide="ignore"):
        areas = [np.concatenate([_area(labels == k, scores[:, k], block) for block in blocks]) for k in classes]
    known = np.isfinite(areas)
    return _ratio(np.where(known, areas, 0).sum(0), known.sum(0))


def _area(truth: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))  # of each run of ties
    counted = weights[:, order].astype(np.float64)
    hits, others = (np.add.reduceat(counted * mine, starts, axis=1) for mine in (truth[order], ~truth[order]))
    below = others.cumsum(1) - others / 2
    return np.asarray((hits * below).sum(1) / (hits.sum(1) * others.sum(1)))


def clean_metrics(
    labels: np.ndarray, predictions: np.ndarray, scores: np.ndarray, resampler: Resampler, positive: int = 1
) -> dict[str, Estimate]:
    """Accuracy, balanced accuracy, sensitivity, specificity, precision, F1, AUROC, each with its interval.

    Args:
        labels: (n,) true classes.
        predictions: (n,) predicted classes.
        scores: (n, k) probabilities.
        resampler: the groups of the images.
        positive: class index that sensitivity speaks of, with two classes. More classes give macro averages.
    """
    import warnings

    k = scores.shape[1]
    cells = np.eye(k * k, dtype=np.float32)[labels * k + predictions]
    with warnings.catch_warnings():
        # A draw without any image of a class has no recall for it: NaN, left out of the interval.
        warnings.simplefilter("ignore", RuntimeWarning)
        point = _counted(cells.sum(0).reshape(k, k), positive)
        draws = _counted(resampler.sums(cells).reshape(-1, k, k), positive)
    out = {name: resampler.interval(float(point[name]), draws[name]) for name in point}
    if not resampler.clustered:
        hit = labels == predictions
        out["accuracy"] = resampler.mean(hit)
        if k == 2:
            out["sensitivity"] = resampler.mean(hit, labels == positive)
            out["specificity"] = resampler.mean(hit, labels != positive)
            out["precision"] = resampler.mean(hit, predictions == positive)
    few = resampler.weights(200 if len(labels) > 2000 else None)
    out["auroc"] = resampler.interval(float(auroc(labels, scores, positive)[0]), auroc(labels, scores, positive, few))
    return out
