"""Referral: if the most sensitive images go to a person, how accurate is the classifier on the rest?

After Joel et al. 2021, doi:10.1101/2021.01.17.21249704, Table 2.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .intervals import Grouping
from .metrics import clean_metrics


class Answers(NamedTuple):
    """What sensitivity asks of the images: labels (n,), predictions (n,), scores (n, k), and the positive class."""

    labels: np.ndarray
    predictions: np.ndarray
    scores: np.ndarray
    positive: int = 1

    def sensitivity(self, which: np.ndarray, groups: np.ndarray) -> dict[str, float | None]:
        """Of the positive class of two, the mean over classes of more, on some of the images."""
        found = clean_metrics(
            self.labels[which], self.predictions[which], self.scores[which], Grouping(groups[which]), self.positive
        )
        return found["sensitivity" if "sensitivity" in found else "macro_sensitivity"].as_dict()


def entropy(scores: np.ndarray) -> np.ndarray:
    """(n,) the entropy of probabilities (n, k), in nats.

    Example:
        >>> entropy(np.array([[0.5, 0.5], [1.0, 0.0]])).round(4).tolist()
        [0.6931, 0.0]
    """
    p = scores.astype(np.float64)
    found: np.ndarray = -(p * np.log(np.where(p > 0, p, 1))).sum(1) + 0.0
    return found


def orders(epsilon_flip: np.ndarray, confidence: np.ndarray, scores: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Way to choose -> (n,) positions of the images, the first referred first; entropy where there are scores.

    Example:
        >>> orders(np.array([0.2, 0.1]), np.array([0.6, 0.9]))["confidence"].tolist()
        [0, 1]
    """
    found = {
        "smallest_change": np.lexsort((confidence, epsilon_flip)),
        "confidence": np.argsort(confidence, kind="stable"),
    }
    return found if scores is None else found | {"entropy": np.argsort(-entropy(scores), kind="stable")}


def referral(
    correct: np.ndarray,
    epsilon_flip: np.ndarray,
    confidence: np.ndarray,
    fractions: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5),
    groups: np.ndarray | None = None,
    answers: Answers | None = None,
) -> list[dict[str, Any]]:
    """Clean accuracy on the images that are kept when a fraction is referred, rounded half up to whole images.

    Args:
        correct: (n,) bool, whether the clean decision is right.
        epsilon_flip: (n,) the smaller, the earlier an image is referred; ties go by confidence.
        confidence: (n,) probability of the predicted class, by which the baseline refers.
        fractions: shares of images referred. Random referral leaves the accuracy as it is.
        groups: (n,) the group of each image, for the intervals; each image its own by default.
        answers: with them, rows have accuracy by entropy too, and sensitivity by each way to choose.

    Returns a row per fraction, with the images referred and kept in numbers; none for a fraction that is all of them.

    Example:
        >>> r = referral(np.array([True, False]), np.array([0.2, 0.1]), np.array([0.6, 0.9]), (0.5,))
        >>> r[0]["accuracy"], r[0]["baseline_confidence"]
        (1.0, 0.0)
        >>> referral(np.ones(10, bool), np.arange(10.0), np.ones(10), (0.05,))[0]["num_referred"]
        1
    """
    n, grouping = len(correct), np.arange(len(correct)) if groups is None else groups
    by = orders(epsilon_flip, confidence, None if answers is None else answers.scores)
    names = {"smallest_change": "accuracy", "confidence": "baseline_confidence"}  # as audits before call them
    rows = []
    for fraction in fractions:
        dropped = math.floor(fraction * n + 0.5 + 1e-9)
        if dropped >= n:
            continue
        kept = {way: order[dropped:] for way, order in by.items()} | {"random": np.arange(n)}
        found = {
            names.get(way, way): Grouping(grouping[which]).mean(correct[which]).as_dict() for way, which in kept.items()
        }
        row: dict[str, Any] = {"fraction": fraction, "num_referred": dropped, "num_kept": n - dropped}
        row |= {name: estimate["value"] for name, estimate in found.items()} | {"intervals": found}
        if answers is not None:
            row["sensitivity"] = {way: answers.sensitivity(which, grouping) for way, which in kept.items()}
        rows.append(row)
    return rows
