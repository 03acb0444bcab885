"""Two shares of different images, as of two data sets: nothing can be paired."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from ...records.intervals import Estimate, Grouping, design_effect
from ..read import Key, Outcome
from ..select import among, group_names


class Side(NamedTuple):
    """One side: (n,) bool, which of its images are read correctly, and (n,) the group of each."""

    right: np.ndarray
    groups: np.ndarray

    @property
    def share(self) -> Estimate:
        """With its interval."""
        return Grouping(self.groups).mean(self.right)

    @property
    def effective(self) -> float:
        """How many independent images say as much on the share."""
        grouping = Grouping(self.groups)
        sizes = np.bincount(grouping.of)
        return len(self.right) / design_effect(grouping.sums(self.right[:, None])[:, 0], sizes)


def side_of(outcomes: list[Outcome], key: Key, metric: str) -> Side | None:
    """The images of several cells that a share speaks of; None where it was not measured."""
    right, groups = [], []
    for one in outcomes:
        condition, mask = one.condition(*key), among(one, metric)
        if condition is not None and mask is not None and mask.any():
            right.append(one.correct(condition)[mask])
            groups.append(group_names(one)[mask])
    return Side(np.concatenate(right), np.concatenate(groups)) if right else None


def unpaired_difference(a: Side, b: Side) -> Estimate:
    """The difference b - a by square-and-add of both intervals (Newcombe 1998, Stat. Med. 17:873, method 10).

    Example:
        >>> a, b = (Side(np.arange(n) < hits, np.arange(n)) for hits, n in ((48, 80), (56, 70)))
        >>> e = unpaired_difference(a, b); round(e.value, 4), round(e.low, 4), round(e.high, 4)
        (0.2, 0.0524, 0.3339)
    """
    one, two = a.share, b.share
    value = two.value - one.value
    down = math.hypot(two.value - two.low, one.high - one.value)
    up = math.hypot(two.high - two.value, one.value - one.low)
    return Estimate(value, max(-1.0, value - down), min(1.0, value + up))


def unpaired_p(a: Side, b: Side) -> float:
    """Two-sided p of no difference: Fisher's exact test, or with groups that repeat the test of two proportions.

    The latter counts the effective number of images of both sides.
    """
    from scipy.stats import fisher_exact

    if not (Grouping(a.groups).clustered or Grouping(b.groups).clustered):
        table = [[int(side.right.sum()), int((~side.right).sum())] for side in (a, b)]
        return float(fisher_exact(table).pvalue)
    sizes = a.effective, b.effective
    shares = float(a.right.mean()), float(b.right.mean())
    mean = (sizes[0] * shares[0] + sizes[1] * shares[1]) / sum(sizes)
    error = math.sqrt(mean * (1 - mean) * (1 / sizes[0] + 1 / sizes[1]))
    return 2 * NormalDist().cdf(-abs(shares[1] - shares[0]) / error) if error else 1.0


def unpaired_error(a: Side, b: Side) -> float:
    """The standard error of the difference, of half its interval where a share is 0 or 1."""
    found = unpaired_difference(a, b)
    return (found.high - found.low) / 2 / NormalDist().inv_cdf(0.975)
