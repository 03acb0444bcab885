"""Student's t over pairs of cells."""

from __future__ import annotations

import math


def t_p(mean: float, error: float, num: int, margin: float | None) -> float:
    """Two-sided p of no difference, or of two one-sided tests within a margin, by Student's t.

    Pairs that all differ by the same amount say nothing on how much others would: NaN, unless none differs at all.
    """
    from scipy.stats import t

    if num < 2:
        return math.nan
    gap = abs(mean) if margin is None else abs(mean) - margin
    if error == 0:
        return 1.0 if margin is None and gap == 0 else math.nan
    return float(2 * t.sf(gap / error, num - 1) if margin is None else t.cdf(gap / error, num - 1))
