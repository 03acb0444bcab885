"""Referral: send the most sensitive images to a person.

How accurate is the classifier on the rest (joel2021, Table 2)?
"""

from __future__ import annotations

import numpy as np


def referral(
    correct: np.ndarray,
    epsilon_flip: np.ndarray,
    confidence: np.ndarray,
    fractions: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5),
) -> list[dict[str, float]]:
    """Clean accuracy on the images kept, when a fraction is referred.

    Args:
        correct: (n,) bool, clean decisions.
        epsilon_flip: (n,) the smaller, the earlier an image is referred; ties by confidence.
        confidence: (n,) probability of the predicted class: the baseline.
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
