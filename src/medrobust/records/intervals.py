"""95 % intervals: the one place. None has zero width, however good or bad the value is.

Images of one patient are not independent, so what counts is the effective number of images. Everything is a closed form
of counts: no draws, no seed. Reasons and coverage: docs/decisions/0030.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np

Z = NormalDist().inv_cdf(0.975)
PRIOR = 0.5  # of a group all right and of one all wrong, when the alikeness of a group's images is estimated
# Smallest means of a Poisson count that is 0, 1, 2, 3 or more with a chance of 5 %.
FEWEST = (0.0, 0.0512933, 0.3553615, 0.8176914)
HALVINGS = 60  # of the range in which the end of an interval is looked for


@dataclass(frozen=True)
class Estimate:
    """A value and the ends of its 95 % interval; all three are NaN where the value is not defined."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float | None]:
        """JSON form; an undefined number is null."""
        return {name: None if np.isnan(v) else round(float(v), 6) for name, v in vars(self).items()}


UNDEFINED = Estimate(math.nan, math.nan, math.nan)


def wilson(num_successes: float, n: float) -> Estimate:
    """A proportion with Wilson's score interval (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    Args:
        num_successes, n: counts, or effective counts, which need not be whole.

    Example:
        >>> e = wilson(9, 10); round(e.low, 3), round(e.high, 3)
        (0.596, 0.982)
    """
    if n <= 0:
        return UNDEFINED
    p, z2 = num_successes / n, Z * Z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return Estimate(p, max(0.0, min(middle - half, p)), min(1.0, max(middle + half, p)))


def _not_too_sure(hits: float, n: float) -> Estimate:
    """Wilson's interval, with 1 to 3 images of a kind held to be as few as a Poisson count allows.

    Wilson's own end is too near then: of 100 images at a rate of .99 it holds the truth in 92 of 100 samples (Brown,
    Cai & DasGupta 2001, doi:10.1214/ss/1009213286, section 4.1.1; here whatever n is, and never narrower).
    """
    found, wrong = wilson(hits, n), n - hits
    low = min(found.low, FEWEST[int(hits)] / n) if 0 < hits < len(FEWEST) else found.low
    high = max(found.high, 1 - FEWEST[int(wrong)] / n) if 0 < wrong < len(FEWEST) else found.high
    return Estimate(found.value, low, high)


def share(right: np.ndarray, sizes: np.ndarray) -> Estimate:
    """The share of images that are right, of groups of images: Wilson's interval of the effective number of images.

    Formula: n / D images, D the design effect, sum (right - p sizes)^2 / (n p (1 - p)) g / (g - 1) of g groups, at
    least 1 (Korn & Graubard 1998, Survey Methodology 24:193). It is estimated with half a group all right and half a
    group all wrong added, so that a few wrong images do not decide how alike the images of a group are. Where all
    images agree it is that of g images: the chance that all groups are right is p^g, whatever their sizes.

    Args:
        right: (g,) images of each group that are right.
        sizes: (g,) images of each group, at least 1.

    Example:
        >>> e = share(np.array([2] * 10), np.array([2] * 10)); round(e.low, 3), e.high
        (0.722, 1.0)
    """
    n, hits, g = float(sizes.sum()), float(right.sum()), len(sizes)
    if hits in (0, n):
        return wilson(g if hits else 0, g)
    if n == g:
        return _not_too_sure(hits, n)
    effective = n / design_effect(right, sizes)
    return wilson(hits / n * effective, effective)


def design_effect(right: np.ndarray, sizes: np.ndarray) -> float:
    """How many images of these groups say as much on a share as one image of a group of its own; see `share`.

    Example:
        >>> round(design_effect(np.array([0, 2] * 50), np.array([2] * 100)), 1)
        2.0
    """
    n, hits, g = float(sizes.sum()), float(right.sum()), len(sizes)
    if hits in (0, n) or n == g:
        return n / g
    prior = PRIOR * sizes.mean()
    total = n + 2 * prior
    p = (hits + prior) / total
    spread = ((right - p * sizes) ** 2).sum() + prior * sizes.mean() * (p**2 + (1 - p) ** 2)
    design = spread / (p * (1 - p) * total) * g / (g - 1) if g > 1 else n
    return n / float(np.clip(n / design, 1, n))


def of_influence(value: float, influence: np.ndarray, num_groups: int) -> Estimate:
    """A number from 0 to 1 that is no plain share: Wilson's interval of as many images as would vary as it does.

    Formula: p (1 - p) / variance images, the variance that of the sums over groups, G / (G - 1) sum influence^2 of G
    groups, with half a group at 1 and half a group at 0 added as in `share`: where nothing varies that is about
    the number of groups.

    Args:
        value: the number.
        influence: (G,) what each group adds to it beyond its expectation; the sum is 0 (the infinitesimal jackknife).
        num_groups: groups that it is a mean of.

    Example:
        >>> e = of_influence(1.0, np.zeros(20), 20); round(e.low, 2), e.high
        (0.84, 1.0)
    """
    g, total = max(num_groups, 1), len(influence)
    p = (value * g + PRIOR) / (g + 2 * PRIOR)
    variance = float((influence**2).sum()) * total / (total - 1) if total > 1 else p * (1 - p)
    variance += PRIOR * (p**2 + (1 - p) ** 2) / g**2
    effective = max(p * (1 - p) / variance, 1.0)
    return wilson(value * effective, effective)


def area_interval(area: float, num_positive: float, num_negative: float) -> Estimate:
    """Newcombe's score interval of the area under an ROC curve (method 5 of Newcombe 2006, doi:10.1002/sim.2324).

    Formula: the ends are the areas A with |A - area| = 1.96 sd(A), sd(A)^2 = A (1 - A) (1 + m ((1 - A) / (2 - A) +
    A / (1 + A))) / (num_positive num_negative), m the mean of both numbers less 1. As the spread is taken at A and
    not at the value found, perfect separation has a lower end.

    Example:
        >>> e = area_interval(1.0, 10, 10); round(e.low, 3), e.high
        (0.8, 1.0)
    """
    others = max((num_positive + num_negative) / 2 - 1, 0.0)

    def inside(a: float) -> bool:
        variance = a * (1 - a) * (1 + others * ((1 - a) / (2 - a) + a / (1 + a))) / (num_positive * num_negative)
        return (a - area) ** 2 <= Z * Z * variance

    def end(out: float) -> float:
        within = area
        for _ in range(HALVINGS):
            middle = (within + out) / 2
            within, out = (middle, out) if inside(middle) else (within, middle)
        return within

    return Estimate(area, end(0.0), end(1.0))


def mean_of(parts: Sequence[Estimate], influence: np.ndarray, touched: np.ndarray) -> Estimate:
    """The mean of several estimates, by square-and-add of the distances to their ends.

    Formula: value - sqrt(d R d), d the distances of the values to their lower ends over k, R their correlations; the
    upper end alike (MOVER: Zou & Donner 2008, doi:10.1002/sim.3095). Without correlation the squares add up, with
    full correlation the distances do.

    Args:
        parts: k estimates, all defined.
        influence: (g, k) what each group adds to each value beyond its expectation; its columns are correlated as the
            values are. Negative correlations count as none.
        touched: (g, k) bool, whether a group says anything on a value. Where a column is all 0, because a value is
            perfect, the correlation is 0 if no group says something on both values, else 1.
    """
    k = len(parts)
    if k == 0:
        return UNDEFINED
    shared = (touched.T.astype(float) @ touched) > 0
    length = np.sqrt((influence**2).sum(0))
    known = np.outer(length, length) > 0
    products = np.divide(influence.T @ influence, np.outer(length, length), out=shared.astype(float), where=known)
    correlation = np.clip(products, 0, 1)
    np.fill_diagonal(correlation, 1)
    value, low, high = np.array([(part.value, part.low, part.high) for part in parts]).T
    down, up = ((d @ correlation @ d) ** 0.5 / k for d in (value - low, high - value))
    mean = float(value.mean())
    return Estimate(mean, max(0.0, mean - float(down)), min(1.0, mean + float(up)))


@dataclass(frozen=True)
class Grouping:
    """Which images belong together (a patient, a lesion): all that an interval must know of a sample.

    Args:
        groups: (n,) group of each image; None, "" and NaN are no group: such an image is one of its own.
    """

    groups: np.ndarray

    @cached_property
    def of(self) -> np.ndarray:
        """(n,) the number of each image's group, from 0."""
        names = [("image", i) if _missing(name) else ("group", str(name)) for i, name in enumerate(self.groups)]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        return np.array([numbers[name] for name in names], dtype=int)

    @property
    def num_groups(self) -> int:
        """How many groups there are."""
        return int(self.of.max(initial=-1)) + 1

    @property
    def clustered(self) -> bool:
        """Whether some group has several images."""
        return self.num_groups < len(self.groups)

    @property
    def method(self) -> str:
        """How the intervals were made, in words."""
        if self.clustered:
            return f"95 % Wilson interval of the effective number of images, {self.num_groups} groups"
        return "95 % Wilson interval"

    def sums(self, values: np.ndarray) -> np.ndarray:
        """(num_groups, k) the sum over each group of values (n, k)."""
        return np.stack([np.bincount(self.of, column, self.num_groups) for column in values.T], 1)

    def mean(self, values: np.ndarray, among: np.ndarray | None = None) -> Estimate:
        """The share of images of which something holds, among some of them.

        Args:
            values: (n,) bool.
            among: (n,) bool, the images that count; all by default.
        """
        among = np.ones(len(values), dtype=bool) if among is None else among
        if not among.any():
            return UNDEFINED
        right, sizes = self.sums(np.stack([values & among, among], 1)).T
        return share(right[sizes > 0], sizes[sizes > 0])

    def mean_between(self, values: np.ndarray, low: float, high: float) -> Estimate:
        """The mean of numbers that cannot leave low .. high; see `of_influence`.

        Args:
            values: (n,); images where it is NaN do not count.
            low, high: the ends of what is possible.

        Example:
            >>> e = Grouping(np.arange(40)).mean_between(np.linspace(-1, 1, 40), -1, 1)
            >>> round(e.low, 2), abs(round(e.value, 2)), round(e.high, 2)
            (-0.19, 0.0, 0.19)
        """
        known = ~np.isnan(values)
        if not known.any():
            return UNDEFINED
        unit = np.where(known, (values - low) / (high - low), 0.0)
        mean = float(np.clip(unit[known].mean(), 0.0, 1.0))
        sums = self.sums(np.stack([known * (unit - mean), known], 1).astype(float))
        influence = sums[sums[:, 1] > 0, 0] / known.sum()
        found = of_influence(mean, influence, len(influence))
        return Estimate(*(low + part * (high - low) for part in (found.value, found.low, found.high)))


def _missing(name: object) -> bool:
    return name is None or name == "" or name != name
