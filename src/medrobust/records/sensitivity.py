"""How much change each image needs: the smallest budget that makes its answer wrong, and that changes it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .rows import Rows


@dataclass(frozen=True)
class Sensitivity:
    """Per image, in the order of the data set; inf where no budget tried was enough.

    Args:
        epsilon_wrong: (n,) smallest budget at which the answer is wrong; 0 where it is wrong without any attack.
        epsilon_flip: (n,) smallest budget at which the answer differs from the clean one: the sensitivity of Joel et
            al. 2021 (doi:10.1101/2021.01.17.21249704).
        attack: (n,) the attack that reached epsilon_wrong, "" where none did.
        change_wrong, change_flip: (n,) the same without the grid: the size of the smallest change that was found and
            confirmed, at most the budget. It is sharp where an attack looked for the smallest change.
    """

    epsilon_wrong: np.ndarray
    epsilon_flip: np.ndarray
    attack: np.ndarray
    change_wrong: np.ndarray
    change_flip: np.ndarray


def sensitivity(rows: Rows, norm: str) -> Sensitivity:
    """The sensitivity of each image, over all attacks of a norm."""
    clean = rows.clean
    label, prediction = clean["label"], clean["clean_prediction"]
    wrong = np.where(prediction == label, np.inf, 0.0)
    flip = np.full(len(clean), np.inf)
    attack = np.full(len(clean), "", dtype=object)
    change_wrong, change_flip = wrong.copy(), flip.copy()
    for name in [a for a, n in rows.cells if n == norm]:
        epsilons, adversarial = rows.matrix(name, norm, "prediction")
        size = rows.matrix(name, norm, "distance")[1]
        for change, other in ((change_wrong, label), (change_flip, prediction)):
            np.minimum(change, np.where(adversarial != other[:, None], size, np.inf).min(1), out=change)
        for column, epsilon in enumerate(epsilons):
            flips = (adversarial[:, column] != prediction) & (flip > epsilon)
            flip[flips] = epsilon
            breaks = (adversarial[:, column] != label) & (wrong > epsilon)
            wrong[breaks], attack[breaks] = epsilon, name
    return Sensitivity(wrong, flip, attack, change_wrong, change_flip)


def quantiles(values: np.ndarray, at: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)) -> dict[str, float | None]:
    """Quantiles of values that may be inf: null where the quantile lies beyond the largest budget tried.

    The value at position ceil(q (n - 1)) of the sorted ones, from 0: one that was measured, never a mean with a value
    that was not. Of an even number of values the median is thus the upper one of the two in the middle.

    Example:
        >>> quantiles(np.array([0.1, 0.2, np.inf]), (0.0, 0.5, 1.0))
        {'0.0': 0.1, '0.5': 0.2, '1.0': None}
    """
    if not len(values):
        return {str(q): None for q in at}
    ordered = np.sort(values)
    found = [ordered[math.ceil(q * (len(values) - 1) - 1e-9)] for q in at]
    return {str(q): float(v) if np.isfinite(v) else None for q, v in zip(at, found, strict=True)}
