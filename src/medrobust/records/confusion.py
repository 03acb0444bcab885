"""Confusion matrices untouched and attacked, and who went where between them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .worst_answers import Answers


class Confusion(NamedTuple):
    """What images are read as.

    Args:
        matrix: (k, k) images by true class and answer.
        moves: (k, k, k) images by true class, answer untouched, and answer now.
    """

    matrix: np.ndarray
    moves: np.ndarray


def confusion(label: np.ndarray, untouched: Answers, now: Answers) -> Confusion:
    """The confusion matrix of some answers, and how it came out of the one of the unchanged images.

    The moves sum to either matrix: over the last axis to the one untouched, over the second to the one now.

    Example:
        >>> def said(*answers):
        ...     scores = np.eye(2)[list(answers)]
        ...     return Answers("", 0.0, np.array(answers), scores, scores > 0)
        >>> found = confusion(np.array([0, 0, 1]), said(0, 1, 1), said(1, 1, 1))
        >>> found.matrix.tolist(), found.moves[0].tolist()
        ([[0, 2], [0, 1]], [[0, 1], [0, 1]])
    """
    k = now.scores.shape[1]
    moves = np.zeros((k, k, k), dtype=int)
    np.add.at(moves, (label.astype(int), untouched.prediction, now.prediction), 1)
    return Confusion(moves.sum(1), moves)


def flows(found: Confusion) -> list[tuple[int, int, int, int]]:
    """(true class, answer untouched, answer now, images) of the answers that changed, the most frequent first."""
    rows = [(c, a, b, int(found.moves[c, a, b])) for c, a, b in np.argwhere(found.moves > 0).tolist() if a != b]
    return sorted(rows, key=lambda row: (-row[3], row[:3]))
