"""Does an order that was claimed hold? Spearman's rank correlation with its exact chance."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import permutations

import numpy as np

ALL_ORDERS = 8  # values up to which every order is tried: 40,320; of more, DRAWS orders are drawn
DRAWS = 20_000
CLOSE = 1e-9


def spearman(values: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each row with a claimed order, 1 where the first value is the best, and so on.

    Values that are equal share their mean rank, so that a tie is worth less than the order claimed; rows of equal
    values have the correlation 0.

    Args:
        values: (..., k), in the order claimed, the best first.

    Example:
        >>> spearman(np.array([[0.9, 0.5, 0.4], [0.4, 0.5, 0.9], [0.5, 0.5, 0.5]])).round(3).tolist()
        [1.0, -1.0, 0.0]
    """
    values = np.asarray(values, dtype=float)
    k = values.shape[-1]
    above = (values[..., :, None] < values[..., None, :]).sum(-1)
    equal = (values[..., :, None] == values[..., None, :]).sum(-1)
    ranks = above + (equal - 1) / 2 - (k - 1) / 2
    claimed = np.arange(k) - (k - 1) / 2
    size = np.sqrt((ranks**2).sum(-1) * (claimed**2).sum())
    found = (ranks * claimed).sum(-1)
    return np.divide(found, size, out=np.zeros_like(found, dtype=float), where=size > 0)


@lru_cache(maxsize=16)
def orders(k: int) -> np.ndarray:
    """(m, k) all orders of k things, or as many as are drawn where there are too many."""
    if k <= ALL_ORDERS:
        return np.array(list(permutations(range(k))), dtype=int)
    return np.random.default_rng(0).permuted(np.tile(np.arange(k), (DRAWS, 1)), axis=1)


def rank_p(values: np.ndarray) -> float:
    """The chance that an order drawn at random agrees with the claimed one as well as the values do, or better.

    Exact for up to 8 values: all orders are counted. Of more it is estimated from 20,000 orders.

    Args:
        values: (k,) in the order claimed, the best first.

    Example:
        >>> rank_p(np.array([5.0, 4, 3, 2, 1])) * 120, rank_p(np.array([1.0, 1, 1]))
        (1.0, 1.0)
    """
    values = np.asarray(values, dtype=float)
    k = len(values)
    chance = spearman(values[orders(k)]) >= spearman(values) - CLOSE
    return float(chance.mean()) if k <= ALL_ORDERS else float((1 + chance.sum()) / (1 + len(chance)))


def smallest_rho(k: int, alpha: float = 0.05) -> float | None:
    """The smallest correlation of k untied values whose chance is below alpha; None where no order is so rare.

    Example:
        >>> round(smallest_rho(5), 3), smallest_rho(3)
        (0.9, None)
    """
    if k < 2 or 1 / math.factorial(k) >= alpha:
        return None
    found = np.sort(spearman(orders(k).astype(float)))
    for rho in np.unique(found.round(9)):
        if (found >= rho - CLOSE).mean() < alpha:
            return float(rho)
    return None
