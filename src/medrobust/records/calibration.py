"""Are the probabilities true? The expected calibration error and the Brier score."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from .intervals import UNDEFINED, Estimate, Grouping, Z, of_influence

NUM_BINS = 15
METHOD = f"ECE of the top label, {NUM_BINS} bins of equal width; Brier: half the sum of squares over classes, 0 to 1"


def calibration(
    labels: np.ndarray, predictions: np.ndarray, scores: np.ndarray, grouping: Grouping
) -> dict[str, Estimate]:
    """Both errors with their intervals; not defined where a probability is no number.

    Args:
        labels: (n,) true classes.
        predictions: (n,) predicted classes.
        scores: (n, k) probabilities.
        grouping: the groups of the images.

    Example:
        >>> y = np.array([0, 1, 1, 0])
        >>> p = np.array([[0.8, 0.2], [0.2, 0.8], [0.8, 0.2], [0.8, 0.2]])
        >>> found = calibration(y, p.argmax(1), p, Grouping(np.arange(4)))
        >>> round(found["ece"].value, 6), round(found["brier"].value, 6)
        (0.05, 0.19)
    """
    p = scores.astype(np.float64)
    if not len(labels) or np.isnan(p).any():
        return {"ece": UNDEFINED, "brier": UNDEFINED}
    chosen = p[np.arange(len(p)), predictions]
    loss = ((p - np.eye(p.shape[1])[labels]) ** 2).sum(1) / 2
    return {"ece": expected_error(chosen, predictions == labels, grouping), "brier": brier(loss, grouping)}


def brier(loss: np.ndarray, grouping: Grouping) -> Estimate:
    """The mean of (n,) losses from 0 to 1, with `of_influence`; Brier 1950, Monthly Weather Review 78:1."""
    value = min(float(loss.mean()), 1.0)
    sums = grouping.sums((loss - value)[:, None] / len(loss))[:, 0]
    return of_influence(value, sums, grouping.num_groups)


def expected_error(confidence: np.ndarray, hit: np.ndarray, grouping: Grouping) -> Estimate:
    """The expected calibration error (Guo et al. 2017, arXiv:1706.04599) in bins (k / 15, (k + 1) / 15].

    Formula: sum over bins of (images / n) |mean confidence - share right|.

    The value is too large in small samples, as |noise| is never negative. The interval allows for it: the lower end
    is value - bias - 1.96 sd, where a bin of spread s and gap g adds to the bias its share times the mean of |g + s z|
    - |g| of a normal z, at the smallest gap that is plausible. s is that of Wilson's interval in the bin.

    Args:
        confidence: (n,) probability of the predicted class.
        hit: (n,) bool, whether it is right.
        grouping: the groups of the images.

    Example:
        >>> alone = Grouping(np.arange(100))
        >>> e = expected_error(np.full(100, 0.9), np.arange(100) < 90, alone); round(e.value, 6), e.low
        (0.0, 0.0)
    """
    n, gap = len(hit), confidence - hit
    which = np.clip(np.ceil(confidence * NUM_BINS - 1e-6).astype(int) - 1, 0, NUM_BINS - 1)
    error = bias = variance = 0.0
    influence = np.zeros(n)
    for b in np.unique(which):
        among = which == b
        share, mean = float(among.sum()) / n, float(gap[among].mean())
        found = grouping.mean(hit, among)
        spread = (found.high - found.low) / (2 * Z)
        error += share * abs(mean)
        bias += share * _folded(max(abs(mean) - Z * spread, 0.0), spread)
        variance += (share * spread) ** 2
        influence[among] = np.sign(mean) * gap[among]
    sums = grouping.sums((influence - influence.mean())[:, None] / n)[:, 0]
    half = Z * math.sqrt(max(variance, float((sums**2).sum())))
    return Estimate(error, max(0.0, error - bias - half), min(1.0, error + half))


def _folded(gap: float, spread: float) -> float:
    """The mean of |gap + spread z| of a normal z, less the gap."""
    r = gap / spread
    below = NormalDist().cdf(-r)
    return spread * math.sqrt(2 / math.pi) * math.exp(-r * r / 2) - 2 * gap * below
