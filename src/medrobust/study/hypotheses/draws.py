"""Draws of groups, for numbers whose interval has no closed form: a rank correlation, a rule that picks images.

Decision 0030 prefers closed forms; these two have none. The seed is fixed, so that a page is the same whenever it
is made.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ...records.intervals import Estimate, Grouping
from .ranks import spearman

DRAWS, SEED = 2000, 0
ENDS = (2.5, 97.5)  # percentiles


@lru_cache(maxsize=2)
def weights(num_groups: int, draws: int = DRAWS) -> np.ndarray:
    """(draws, num_groups) how often each group is drawn, when as many are drawn as there are, with replacement."""
    chances = np.full(num_groups, 1 / num_groups)
    return np.random.default_rng(SEED).multinomial(num_groups, chances, size=draws).astype(float)


def rho_interval(correct: list[np.ndarray], among: list[np.ndarray], groups: list[np.ndarray]) -> tuple[float, float]:
    """The ends of Spearman's correlation of the mean shares over places, when other groups of images had been drawn.

    Args:
        correct: of each place (n, k) bool, images by the values that are compared.
        among: of each place (n,) bool, the images that count.
        groups: of each place (n,) names; a group of one name is drawn in all places at once.
    """
    grouping = Grouping(np.concatenate(groups))
    drawn = weights(grouping.num_groups)
    means, start = [], 0
    for right, counts in zip(correct, among, strict=True):
        of = grouping.of[start : start + len(right)]
        start += len(right)
        columns = np.column_stack([right & counts[:, None], counts]).astype(float)
        sums = drawn @ np.stack([np.bincount(of, column, grouping.num_groups) for column in columns.T], 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            means.append(sums[:, :-1] / sums[:, -1:])
    shares = np.stack(means)  # not a number where none of a place's groups was drawn
    known = ~np.isnan(shares)
    found = spearman((np.where(known, shares, 0).sum(0) / np.maximum(known.sum(0), 1)).round(12))
    low, high = np.percentile(found, ENDS)
    return float(low), float(high)


class Dropped(NamedTuple):
    """What a rule that drops images changes.

    Args:
        change: accuracy on the images kept less accuracy on all, with its interval.
        error: the standard error of the change.
        kept, all: accuracies.
        num_kept, num_all: images.
        order: (n,) positions, the first dropped first.
    """

    change: Estimate
    error: float
    kept: float
    all: float
    num_kept: int
    num_all: int


def drop(
    correct: list[np.ndarray],
    keys: list[np.ndarray],
    names: list[np.ndarray],
    groups: list[np.ndarray],
    fraction: float,
) -> Dropped:
    """Accuracy on the images that are kept, when a fraction of each list is dropped, less accuracy on all.

    In every draw the rule picks anew among the images drawn: what is dropped varies with them.

    Args:
        correct: of each outcome (n,) bool.
        keys: of each outcome (n,) by which images are dropped, the smallest first.
        names: of each outcome (n,), by which equal keys are put in order.
        groups: of each outcome (n,) names; a group of one name is drawn in all outcomes at once.
        fraction: of the images of each outcome, rounded half up to whole images.
    """
    grouping = Grouping(np.concatenate(groups))
    drawn = weights(grouping.num_groups)
    sums, start = np.zeros((4, len(drawn))), 0  # right and all, of kept and of all
    found = np.zeros(4)
    for right, key, name in zip(correct, keys, names, strict=True):
        of = grouping.of[start : start + len(right)]
        start += len(right)
        order = np.lexsort((name, key))
        num = num_dropped(len(right), fraction)
        right = right[order].astype(float)
        each = drawn[:, of[order]]
        total = each.sum(1)
        kept = np.clip(each.cumsum(1) - (num / len(right)) * total[:, None], 0, each)
        sums += np.stack([kept @ right, kept.sum(1), each @ right, total])
        found += (right[num:].sum(), len(right) - num, right.sum(), len(right))
    changes = sums[0] / sums[1] - sums[2] / sums[3]
    value = float(found[0] / found[1] - found[2] / found[3])
    low, high = np.percentile(changes, ENDS)
    estimate = Estimate(value, float(min(low, value)), float(max(high, value)))
    error = float(np.std(changes, ddof=1))
    return Dropped(estimate, error, found[0] / found[1], found[2] / found[3], int(found[1]), int(found[3]))


def num_dropped(n: int, fraction: float) -> int:
    """A fraction of n images, rounded half up; at least one image is kept.

    Example:
        >>> num_dropped(10, 0.2), num_dropped(10, 0.05), num_dropped(3, 1.0)
        (2, 1, 2)
    """
    return min(int(np.floor(fraction * n + 0.5 + 1e-9)), n - 1)


def random_drop(correct: list[np.ndarray], fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """The chance of every number of correct images among those kept, when images are dropped at random.

    Exact: the hypergeometric distribution of each list, convolved.

    Returns (m,) numbers of correct images and (m,) their chances.
    """
    from scipy.stats import hypergeom

    chance, first = np.ones(1), 0
    for right in correct:
        n, hits = len(right), int(right.sum())
        kept = n - num_dropped(n, fraction)
        low, high = max(0, kept - (n - hits)), min(kept, hits)
        chance = np.convolve(chance, hypergeom.pmf(np.arange(low, high + 1), n, hits, kept))
        first += low
    return first + np.arange(len(chance)), chance
