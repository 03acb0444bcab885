"""Referral: if the most sensitive images go to a person, how accurate is the classifier on the rest?

After Joel et al. 2021, doi:10.1101/2021.01.17.21249704, Table 2.
"""

from __future__ import annotations

import numpy as np


def referral(
    correct: np.ndarray,
    epsilon_flip: np.ndarray,
    confidence: np.ndarray,
    fractions: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5),
) -> list[dict[str, float]]:
    """Clean accuracy on the images that are kept when a fraction is referred.

    Args:
        correct: (n,) bool, whether the clean decision is right.
        epsilon_flip: (n,) the smaller, the earlier an image is referred; ties go by confidence.
        confidence: (n,) probability of the predicted class, by which the baseline refers.
        fractions: shares of images referred. Random referral leaves the accuracy as it is.

    Example:
        >>> r = referral(np.array([True, False]), np.array([0.2, 0.1]), np.array([0.6, 0.9]), (0.5,))
        >>> r[0]["accuracy"], r[0]["baseline_confidence"]
        (1.0, 0.0)
    """
    by_epsilon = np.lexsort((confidence, epsilon_flip))
    by_confidence = np.argsort(confidence, kind="stable")
    rows = []
    for fraction in fractions:
        dropped = round(fraction * len(correct))
        if dropped >= len(correct):
            continue
        rows.append(
            {
                "fraction": fraction,
                "accuracy": round(float(correct[by_epsilon[dropped:]].mean()), 6),
                "baseline_confidence": round(float(correct[by_confidence[dropped:]].mean()), 6),
                "random": round(float(correct.mean()), 6),
            }
        )
    return rows
