"""Two classifiers on the same images: differences with intervals, and tests, paired by image and clustered by group."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from .intervals import PRIOR, UNDEFINED, Estimate, Grouping, Z
from .metrics import placements

METHOD = (
    "differences are B - A; shares: adjusted Wald interval over groups (after Agresti & Min 2005), exact sign-flip "
    "test by group, which is McNemar's exact test where each group has one image; AUROC: DeLong over groups "
    "(Obuchowski 1997)"
)


def difference(a: np.ndarray, b: np.ndarray, grouping: Grouping, among: np.ndarray | None = None) -> Estimate:
    """The difference b - a of two shares of the same images.

    Formula: with half a group added in which b alone holds, and half a group in which a alone holds, of the mean size,
    d = sum d_g / n and d +- 1.96 sqrt(sum (d_g - d n_g)^2 G / (G - 1)) / n of G groups. Of single images Agresti & Min
    2005 (Stat. Med. 24:729) add as much of these, and as much of images in which a and b agree.

    Args:
        a, b: (n,) bool.
        grouping: the groups of the images.
        among: (n,) bool, the images that count; all by default.

    Example:
        >>> right = np.arange(100) < 80
        >>> e = difference(right, right, Grouping(np.arange(100))); e.value, round(e.low, 3), round(e.high, 3)
        (0.0, -0.02, 0.02)
    """
    found = moments(a, b, grouping, among)
    if found is None:
        return UNDEFINED
    half = Z * found.error
    low, high = min(found.middle - half, found.value), max(found.middle + half, found.value)
    return Estimate(found.value, float(max(-1, low)), float(min(1, high)))


class Moments(NamedTuple):
    """A difference as found, as it is with the half groups of `difference`, and the standard error of the latter."""

    value: float
    middle: float
    error: float


def moments(a: np.ndarray, b: np.ndarray, grouping: Grouping, among: np.ndarray | None = None) -> Moments | None:
    """What the interval of `difference` and the tests of `equivalence` are made of; None without images.

    Args:
        a, b, grouping, among: see `difference`.
    """
    among = np.ones(len(a), dtype=bool) if among is None else among
    if not among.any():
        return None
    sums = grouping.sums(np.stack([(b.astype(float) - a) * among, among.astype(float)], 1))
    gained, sizes = sums[sums[:, 1] > 0].T
    value, size = gained.sum() / sizes.sum(), sizes.mean()
    n, num = sizes.sum() + 2 * PRIOR * size, len(sizes) + 2 * PRIOR
    middle = gained.sum() / n
    squares = ((gained - middle * sizes) ** 2).sum() + 2 * PRIOR * size**2 * (1 + middle**2)
    return Moments(float(value), float(middle), math.sqrt(squares * num / (num - 1)) / n)


def equivalence(
    a: np.ndarray, b: np.ndarray, grouping: Grouping, margin: float, among: np.ndarray | None = None
) -> tuple[Estimate, float]:
    """Whether two shares of the same images are equal within a margin: two one-sided tests (Schuirmann 1987).

    Formula: p is the larger one of two, of a difference of at most -margin and of at least margin, each normal with the
    standard error of `difference`. It is below .05 where the 90 % interval lies within the margin.

    Args:
        a, b, grouping, among: see `difference`.
        margin: the largest difference that does not matter, above 0.

    Returns the difference b - a with its 90 % interval, and p; NaN without images.

    Errors: ValueError for a margin that is not above 0.

    Example:
        >>> right = np.arange(400) < 320
        >>> e, p = equivalence(right, right, Grouping(np.arange(400)), 0.03); e.value, round(e.high, 4), p < 0.001
        (0.0, 0.0041, True)
    """
    if not margin > 0:
        raise ValueError(f"margin {margin} is not above 0")
    found = moments(a, b, grouping, among)
    if found is None:
        return UNDEFINED, math.nan
    half = NormalDist().inv_cdf(0.95) * found.error
    low, high = min(found.middle - half, found.value), max(found.middle + half, found.value)
    p = NormalDist().cdf((abs(found.middle) - margin) / found.error)
    return Estimate(found.value, float(max(-1, low)), float(min(1, high))), p


def sign_flip_p(a: np.ndarray, b: np.ndarray, grouping: Grouping, among: np.ndarray | None = None) -> float:
    """Two-sided p of a difference of shares: were a and b exchanged in each group by a coin, how often is it as large?

    Exact, by the distribution of the sum of b - a over groups, without draws. Where each group has one image this is
    McNemar's exact test (a binomial test of the images that only one reads rightly). 1 where nothing differs, NaN
    without images.

    Args:
        a, b, grouping, among: see `difference`.

    Example:
        >>> a, b = np.array([1, 1, 1, 1, 1, 0, 1, 0], bool), np.array([0, 0, 0, 0, 0, 1, 1, 0], bool)
        >>> round(sign_flip_p(a, b, Grouping(np.arange(8))), 6)  # 1 of 6: 2 (1 + 6) / 2^6
        0.21875
    """
    among = np.ones(len(a), dtype=bool) if among is None else among
    if not among.any():
        return math.nan
    sums = np.rint(grouping.sums(((b.astype(float) - a) * among)[:, None])[:, 0]).astype(int)
    sizes, counts = np.unique(np.abs(sums[sums != 0]), return_counts=True)
    chance = np.ones(1)  # of each sum from -reach to reach
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        step = np.zeros(2 * size * count + 1)
        step[:: 2 * size] = _coins(count)
        chance = np.convolve(chance, step)
    away = np.abs(np.arange(len(chance)) - len(chance) // 2)
    return float(min(1.0, chance[away >= abs(int(sums.sum()))].sum()))


def _coins(count: int) -> np.ndarray:
    """(count + 1,) the chance of each number of heads."""
    logs = [math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) for k in range(count + 1)]
    return np.exp(np.array(logs) - count * math.log(2))


def area_difference(
    truth: np.ndarray, a: np.ndarray, b: np.ndarray, grouping: Grouping
) -> tuple[Estimate, float] | None:
    """The difference b - a of two areas under ROC curves, and the two-sided p of none.

    Variance: that of the placements summed over groups (DeLong 1988, doi:10.2307/2531595; Obuchowski 1997,
    doi:10.2307/2533958), with half a group for and half a group against added, so that the interval has a width; of
    as many groups as two equal halves would have. The test is made without these.

    Args:
        truth: (n,) bool.
        a, b: (n,) scores.
        grouping: the groups of the images.

    Returns None without images of both kinds, or with a score that is no number.

    Example:
        >>> truth, score = np.arange(40) < 20, np.linspace(1, 0, 40)
        >>> e, p = area_difference(truth, score, score, Grouping(np.arange(40))); e.value, round(e.high, 3), p
        (0.0, 0.048, 1.0)
    """
    if truth.all() or not truth.any() or np.isnan(a).any() or np.isnan(b).any():
        return None
    influence, areas = [], []
    for score in (a, b):
        placed = placements(truth, score)
        areas.append(float(placed[truth].mean()))
        influence.append((placed - areas[-1]) / np.where(truth, truth.sum(), (~truth).sum()))
    sums = grouping.sums((influence[1] - influence[0])[:, None])[:, 0]
    each = (grouping.sums(np.stack([truth, ~truth], 1)) > 0).sum(0)
    groups = 4 / float((1 / each).sum())
    num = len(sums)
    variance = float((sums**2).sum()) * (num / (num - 1) if num > 1 else 1.0)
    value, added = areas[1] - areas[0], 2 * PRIOR / (groups + 2 * PRIOR) ** 2
    half = Z * math.sqrt(variance + added)
    p = 2 * NormalDist().cdf(-abs(value) / math.sqrt(variance)) if variance > 1e-20 else float(abs(value) < 1e-12)
    return Estimate(value, max(-1.0, value - half), min(1.0, value + half)), p


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979); NaN counts as none and stays.

    Example:
        >>> [round(q, 3) for q in holm([0.01, 0.04, 0.03, float("nan")])]
        [0.03, 0.06, 0.06, nan]
    """
    values = np.asarray(p, dtype=float)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    out = values.copy()
    steps = values[order] * np.arange(len(order), 0, -1)
    out[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(v) for v in out]
