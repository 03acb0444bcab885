"""Which effect could have been seen with the images that there were: at 80 % power and alpha .05."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from ...records.intervals import Grouping
from ...records.paired import moments

POWER, ALPHA = 0.8, 0.05
HALVINGS = 20


def mcnemar_power(n: int, discordance: float, effect: float, alpha: float = ALPHA) -> float:
    """The chance that McNemar's exact test finds an effect, exactly.

    Formula: sum over D of Bin(D; n, discordance) P(b - c is that far from 0 | D), b of D images read rightly by the
    better side alone, each with the chance (1 + effect / discordance) / 2.

    Args:
        n: independent images.
        discordance: share of images that one side alone reads rightly.
        effect: difference of the shares read rightly, at most the discordance.
        alpha: two-sided level.

    Example:
        >>> round(mcnemar_power(200, 0.2, 0.0), 3) < 0.05, mcnemar_power(200, 0.2, 0.2) > 0.999
        (True, True)
    """
    from scipy.stats import binom

    spread = 8 * math.sqrt(n * discordance * (1 - discordance)) + 8
    low, high = max(0, math.floor(n * discordance - spread)), min(n, math.ceil(n * discordance + spread))
    d = np.arange(low, high + 1)
    most = _critical(n, alpha)[low : high + 1]
    seen = binom.sf(d - most - 1, d, (1 + effect / discordance) / 2)
    return float((binom.pmf(d, n, discordance) * np.where(most < 0, 0.0, seen)).sum())


@lru_cache(maxsize=8)
def _critical(n: int, alpha: float) -> np.ndarray:
    """(n + 1,) of each number of discordant images, the most on the lesser side with p < alpha; -1 where none is."""
    from scipy.stats import binom

    d = np.arange(n + 1)
    most = binom.ppf(alpha / 2, d, 0.5)
    found: np.ndarray = np.where(binom.cdf(most, d, 0.5) < alpha / 2, most, most - 1)
    return found


@lru_cache(maxsize=1024)
def visible(n: float, discordance: float, alpha: float = ALPHA, power: float = POWER) -> float:
    """The smallest difference that McNemar's exact test finds with this power; NaN where there are too few images.

    The discordance is what was seen, or the effect itself where that is larger.

    Args:
        n: independent images; of fewer than whole ones, the whole number below.
        discordance, alpha, power: see `mcnemar_power`.

    Example:
        >>> round(visible(200, 0.2), 2), visible(4, 0.5)
        (0.09, nan)
    """
    whole = max(int(n), 0)
    if whole < 1 or mcnemar_power(whole, 1.0, 1.0, alpha) < power:
        return math.nan
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        enough = mcnemar_power(whole, max(discordance, middle), middle, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def effective_images(a: np.ndarray, b: np.ndarray, grouping: Grouping, among: np.ndarray) -> float:
    """How many independent images say as much on a paired difference as these do, in their groups."""
    n = int(among.sum())
    clustered, alone = moments(a, b, grouping, among), moments(a, b, Grouping(np.arange(len(a))), among)
    if clustered is None or alone is None:
        return 0.0
    return n / max((clustered.error / alone.error) ** 2, 1.0)


def visible_of(a: np.ndarray, b: np.ndarray, grouping: Grouping, among: np.ndarray, alpha: float = ALPHA) -> float:
    """The smallest difference that could have been seen with these images, at the discordance that they show."""
    n = effective_images(a, b, grouping, among)
    return visible(n, float((a != b)[among].mean()), alpha) if n else math.nan


def visible_normal(error: float, alpha: float = ALPHA) -> float:
    """The same for a number with a normal standard error: (z of 1 - alpha / 2 + z of the power) standard errors.

    Example:
        >>> round(visible_normal(0.01), 4)
        0.028
    """
    return (NormalDist().inv_cdf(1 - alpha / 2) + NormalDist().inv_cdf(POWER)) * error


def smallest_margin(error: float, alpha: float = ALPHA) -> float:
    """The smallest margin within which two one-sided tests show equality with this power, where there is no difference.

    Example:
        >>> round(smallest_margin(0.01), 4)
        0.0293
    """
    return (NormalDist().inv_cdf(1 - alpha) + NormalDist().inv_cdf((1 + POWER) / 2)) * error


def visible_mean(sd: float, num: int, alpha: float = ALPHA) -> float:
    """The same for the mean of paired differences and a t-test; NaN for fewer than two."""
    from scipy.stats import nct, t

    if num < 2 or not sd > 0:
        return math.nan
    limit, low, high = t.ppf(1 - alpha / 2, num - 1), 0.0, 100.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if nct.sf(limit, num - 1, middle * math.sqrt(num)) >= POWER else (middle, high)
    return high * sd
