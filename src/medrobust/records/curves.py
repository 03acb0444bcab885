"""Robust accuracy against epsilon: raw, monotone, worst case."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .metrics import Estimate, Resampler
from .records import Records


@dataclass(frozen=True)
class Curve:
    """Per image and budget, whether the classifier still answers correctly.

    Args:
        attack: its name, or "worst_case".
        norm: linf, l2 or l1.
        epsilons: (e,) ascending.
        correct: (n, e) bool as measured; images in the order of the data set.
    """

    attack: str
    norm: str
    epsilons: np.ndarray
    correct: np.ndarray

    @property
    def envelope(self) -> np.ndarray:
        """(n, e) correct here and at every smaller budget: a smaller change is allowed at a larger budget too."""
        return np.logical_and.accumulate(self.correct, axis=1)

    def estimates(self, resampler: Resampler) -> list[Estimate]:
        """Robust accuracy at each budget, of the envelope."""
        return [resampler.mean(column) for column in self.envelope.T]

    @property
    def raw(self) -> np.ndarray:
        """(e,) accuracy as measured at each budget alone."""
        return self.correct.mean(0)


def correct_under(records: Records, attack: str, norm: str, honest: bool) -> Curve:
    """Whether each decision is right under an attack.

    honest: an image that is wrong without any attack is wrong at every budget. Otherwise (protocol `paper`) what
    counts is the decision on the attacked image, so that a targeted attack may repair a wrong one.
    """
    epsilons, prediction = records.matrix(attack, norm, "prediction")
    clean = records.clean
    correct = prediction == clean["label"][:, None]
    if honest:
        correct &= (clean["clean_prediction"] == clean["label"])[:, None]
    return Curve(attack, norm, epsilons, correct)


def curves(records: Records, honest: bool = True) -> list[Curve]:
    """One curve per (attack, norm)."""
    return [correct_under(records, attack, norm, honest) for attack, norm in records.cells]


def worst_case(records: Records, norm: str, honest: bool = True) -> Curve:
    """Per image the worst over all attacks of a norm, on the union of their budgets.

    Never the worst attack of the set: an image counts as robust only where every attack failed.
    """
    parts = [curve for curve in curves(records, honest) if curve.norm == norm]
    epsilons = np.unique(np.concatenate([part.epsilons for part in parts]))
    correct = np.ones((len(records.clean), len(epsilons)), dtype=bool)
    for part in parts:
        # A budget that this attack did not try is covered by its largest smaller one.
        column = np.searchsorted(part.epsilons, epsilons, side="right") - 1
        correct &= np.where(column >= 0, part.envelope[:, np.maximum(column, 0)], True)
    return Curve("worst_case", norm, epsilons, correct)


def norms(records: Records) -> list[str]:
    """The norms measured, in the order of the rows."""
    return list(dict.fromkeys(norm for _, norm in records.cells))
