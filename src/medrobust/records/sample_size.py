"""How many images, and how many groups, an interval of a wanted width needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .curves import Curve
from .intervals import Grouping, Z, design_effect, wilson

HALF_WIDTH = 0.05


def images_for(p: float, half_width: float) -> int:
    """The smallest number of independent images at which Wilson's interval of a share p is no wider than wanted.

    Formula: the larger root n of h^2 (n + z^2)^2 = z^2 (p (1 - p) n + z^2 / 4), rounded up: the width falls with n.

    Args:
        p: the share, from 0 to 1.
        half_width: h, half of the interval, above 0.

    Errors: ValueError for a half width that is not above 0.

    Example:
        >>> images_for(0.5, 0.05), images_for(0.95, 0.05)
        (381, 83)
    """
    if not half_width > 0:
        raise ValueError(f"half_width {half_width} is not above 0")
    h2, z2, spread = half_width**2, Z * Z, p * (1 - p)
    half = h2 * z2 - z2 * spread / 2
    rest = h2 * z2 * z2 - z2 * z2 / 4
    root = (-half + math.sqrt(max(half**2 - h2 * rest, 0.0))) / h2
    n = max(math.ceil(root - 1e-9), 1)
    while _half(p, n) > half_width:  # rounding of the root
        n += 1
    while n > 1 and _half(p, n - 1) <= half_width:
        n -= 1
    return n


def _half(p: float, n: float) -> float:
    found = wilson(p * n, n)
    return (found.high - found.low) / 2


def sample_size(
    right: np.ndarray, curves: Sequence[Curve], grouping: Grouping, half_width: float = HALF_WIDTH
) -> dict[str, Any]:
    """What the accuracies of a run would need to be known within a half width, were the next groups like these.

    The design effect is that of `design_effect`, of each number for itself: it is how many images of such groups say as
    much as one independent image, and the images needed are as many times more.

    Args:
        right: (n,) bool, whether the answers to the unchanged images are right.
        curves: worst cases, one for each norm.
        grouping: the groups of the images.
        half_width: of the interval that is wanted.

    Example:
        >>> found = sample_size(np.arange(100) < 90, [], Grouping(np.arange(100) // 2))
        >>> row = found["rows"][0]; row["num_images"], row["num_groups"], row["enough"]
        (288, 144, False)
    """
    counted: list[tuple[str | None, float, np.ndarray]] = [(None, 0.0, right)]
    counted += [(c.norm, e, at) for c in curves for e, at in zip(c.epsilons.tolist(), c.counted.T, strict=True)]
    sizes = np.bincount(grouping.of)
    per_group = float(sizes.mean())
    rows = []
    for norm, epsilon, hit in counted:
        found = grouping.mean(hit)
        design = design_effect(grouping.sums(hit[:, None])[:, 0], sizes)
        num_images = math.ceil(images_for(found.value, half_width) * design - 1e-9)
        now = (found.high - found.low) / 2
        rows.append(
            {
                "metric": "accuracy" if norm is None else "robust_accuracy",
                "norm": norm,
                "epsilon": epsilon,
                "value": round(found.value, 6),
                "half_width_now": round(now, 6),
                "design_effect": round(design, 4),
                "num_images": num_images,
                "num_groups": math.ceil(num_images / per_group - 1e-9),
                "enough": bool(now <= half_width),
            }
        )
    return {"half_width": half_width, "images_per_group": round(per_group, 4), "method": METHOD, "rows": rows}


METHOD = "Wilson's 95 % interval inverted, times the design effect seen"
