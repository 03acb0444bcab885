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
        change_attack: (n,) the attack that found change_wrong, "" where none did.
        change_answer: (n,) the class that the image was read as under change_wrong, -1 where none made it wrong.
    """

    epsilon_wrong: np.ndarray
    epsilon_flip: np.ndarray
    attack: np.ndarray
    change_wrong: np.ndarray
    change_flip: np.ndarray
    change_attack: np.ndarray
    change_answer: np.ndarray


def sensitivity(rows: Rows, norm: str) -> Sensitivity:
    """The sensitivity of each image, over all attacks of a norm."""
    clean = rows.clean
    label, prediction = clean["label"], clean["clean_prediction"]
    wrong = np.where(prediction == label, np.inf, 0.0)
    flip = np.full(len(clean), np.inf)
    attack = np.full(len(clean), "", dtype=object)
    change_wrong, change_flip = wrong.copy(), flip.copy()
    change_attack, change_answer = attack.copy(), np.full(len(clean), -1)
    images = np.arange(len(clean))
    for name in [a for a, n in rows.cells if n == norm]:
        epsilons, adversarial = rows.matrix(name, norm, "prediction")
        size = rows.matrix(name, norm, "distance")[1]
        np.minimum(change_flip, np.where(adversarial != prediction[:, None], size, np.inf).min(1), out=change_flip)
        smallest = np.where(adversarial != label[:, None], size, np.inf)
        best = smallest.argmin(1)
        nearer = smallest[images, best] < change_wrong
        change_wrong[nearer] = smallest[images, best][nearer]
        change_attack[nearer] = name
        change_answer[nearer] = adversarial[images, best][nearer]
        for column, epsilon in enumerate(epsilons):
            flips = (adversarial[:, column] != prediction) & (flip > epsilon)
            flip[flips] = epsilon
            breaks = (adversarial[:, column] != label) & (wrong > epsilon)
            wrong[breaks], attack[breaks] = epsilon, name
    return Sensitivity(wrong, flip, attack, change_wrong, change_flip, change_attack, change_answer)


def ecdf(values: np.ndarray, most: int = 200) -> list[list[float]]:
    """The empirical distribution of values that may be inf: [value, share of all that are at most it], ascending.

    Formula: F(v) = #{i: v_i <= v} / n, at every finite value; at `most` of them, evenly by rank and with both ends,
    where there are more. The last share is below 1 by the share of the values that are inf.

    Example:
        >>> ecdf(np.array([0.2, 0.1, np.inf, 0.2]))
        [[0.1, 0.25], [0.2, 0.75]]
    """
    finite = np.sort(values[np.isfinite(values)])
    if not len(finite):
        return []
    at, last = np.unique(finite[::-1], return_index=True)
    shares = (len(finite) - last) / len(values)
    kept = np.unique(np.linspace(0, len(at) - 1, min(most, len(at))).round().astype(int))
    return [[float(at[i]), round(float(shares[i]), 6)] for i in kept]


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
