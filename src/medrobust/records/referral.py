"""Referral: if the most sensitive images go to a person, how accurate is the classifier on the rest?

After Joel et al. 2021, doi:10.1101/2021.01.17.21249704, Table 2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .intervals import Grouping


def referral(
    correct: np.ndarray,
    epsilon_flip: np.ndarray,
    confidence: np.ndarray,
    fractions: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5),
    groups: np.ndarray | None = None,
) -> list[dict[str, Any]]:
    """Clean accuracy on the images that are kept when a fraction is referred, rounded half up to whole images.

    Args:
        correct: (n,) bool, whether the clean decision is right.
        epsilon_flip: (n,) the smaller, the earlier an image is referred; ties go by confidence.
        confidence: (n,) probability of the predicted class, by which the baseline refers.
        fractions: shares of images referred. Random referral leaves the accuracy as it is.
        groups: (n,) the group of each image, for the intervals; each image its own by default.

    Returns a row per fraction, with the images referred and kept in numbers; none for a fraction that is all of them.

    Example:
        >>> r = referral(np.array([True, False]), np.array([0.2, 0.1]), np.array([0.6, 0.9]), (0.5,))
        >>> r[0]["accuracy"], r[0]["baseline_confidence"]
        (1.0, 0.0)
        >>> referral(np.ones(10, bool), np.arange(10.0), np.ones(10), (0.05,))[0]["num_referred"]
        1
    """
    n, grouping = len(correct), np.arange(len(correct)) if groups is None else groups
    by_epsilon = np.lexsort((confidence, epsilon_flip))
    by_confidence = np.argsort(confidence, kind="stable")
    rows = []
    for fraction in fractions:
        dropped = math.floor(fraction * n + 0.5 + 1e-9)
        if dropped >= n:
            continue
        kept = {
            "accuracy": by_epsilon[dropped:],
            "baseline_confidence": by_confidence[dropped:],
            "random": np.arange(n),
        }
        found = {name: Grouping(grouping[which]).mean(correct[which]).as_dict() for name, which in kept.items()}
        rows.append(
            {"fraction": fraction, "num_referred": dropped, "num_kept": n - dropped}
            | {name: estimate["value"] for name, estimate in found.items()}
            | {"intervals": found}
        )
    return rows
