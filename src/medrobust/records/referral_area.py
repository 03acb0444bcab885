"""How well a score chooses the images that go to a person: the area under the risk-coverage curve, and its gain."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .intervals import Estimate, Grouping, Z, wilson


class _Area(NamedTuple):
    """An area, and what each image adds to it beyond its expectation (n,)."""

    value: float
    influence: np.ndarray


def area(wrong: np.ndarray, order: np.ndarray) -> _Area:
    """The mean share of wrong images among the k that are referred last, over k = 1 ... n.

    Formula: sum over the wrong images of w(r) = (1 / r + ... + 1 / n) / n, r the place of an image from the end
    (Geifman et al. 2019, arXiv:1805.08206). The influence of an image is that of E[-wrong log S(s)], S(s) the share of
    images with at least the score s: its own term, and what its place among the others changes.

    Args:
        wrong: (n,) bool.
        order: (n,) positions of the images, the first referred first.

    Example:
        >>> round(area(np.array([True, False]), np.array([0, 1])).value, 3)  # the wrong one goes first
        0.25
    """
    n = len(wrong)
    kept = order[::-1]
    share = np.arange(1, n + 1) / n
    weights = np.cumsum((1 / share)[::-1])[::-1] / n**2
    missed = wrong[kept].astype(float)
    behind = np.cumsum((missed / share)[::-1])[::-1] / n  # of those that are kept as late as this or later
    own = missed * -np.log(share)
    influence = np.empty(n)
    influence[kept] = own - own.mean() - (behind - missed.mean())
    return _Area(float((missed * weights).sum()), influence)


def _interval(value: float, influence: np.ndarray, grouping: Grouping, wrong: np.ndarray, low: float) -> Estimate:
    """The value and 1.96 standard errors of sums over groups; where nothing varies, the share that may be wrong."""
    g, n = grouping.num_groups, len(influence)
    sums = grouping.sums(influence[:, None])[:, 0]
    half = Z * math.sqrt(g / (g - 1) * float((sums**2).sum())) / n if g > 1 else 1.0
    if not half > 0:
        half = wilson(0, g).high if not wrong.any() else 1 - wilson(g, g).low
    return Estimate(value, max(value - half, low), min(value + half, 1.0))


def referral_areas(
    correct: np.ndarray, orders: Mapping[str, np.ndarray], groups: np.ndarray | None = None
) -> list[dict[str, Any]]:
    """A row for each way to choose who is referred first, with the gain over confidence and over chance.

    A gain is an area less that of the score, on the same images: above 0 the score is better.

    Args:
        correct: (n,) bool, whether the clean decision is right.
        orders: name -> (n,) positions of the images, the first referred first; one is called confidence.
        groups: (n,) the group of each image, for the intervals; each image its own by default.

    Example:
        >>> r = referral_areas(np.array([True, False] * 8), {"confidence": np.arange(16)})
        >>> [row["by"] for row in r], r[1]["area"]["value"], r[0]["gain_over_random"]["value"] < 0
        (['confidence', 'random'], 0.5, True)
    """
    wrong = ~correct.astype(bool)
    grouping = Grouping(np.arange(len(wrong)) if groups is None else groups)
    found = {name: area(wrong, order) for name, order in orders.items()}
    found["random"] = _Area(float(wrong.mean()), wrong - wrong.mean())  # whatever is kept, its expectation is this
    rows = []
    for name, one in found.items():
        row: dict[str, Any] = {"by": name, "area": _interval(*one, grouping, wrong, 0.0).as_dict()}
        for other in ("confidence", "random"):
            if other != name:
                value, influence = found[other].value - one.value, found[other].influence - one.influence
                row[f"gain_over_{other}"] = _interval(value, influence, grouping, wrong, -1.0).as_dict()
        rows.append(row)
    return rows
