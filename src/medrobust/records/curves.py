"""Robust accuracy against epsilon: raw, monotone, worst case."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .intervals import Estimate, Grouping
from .rows import Rows

WORST_CASE = "worst_case"


@dataclass(frozen=True)
class Curve:
    """Per image and budget, whether the classifier still answers correctly.

    Args:
        attack: its title, or "worst_case".
        norm: linf, l2 or l1.
        epsilons: (e,) ascending.
        correct: (n, e) bool as measured; images in the order of the data set.
        groups: (n,) the group of each image, for the intervals; each image its own by default.
    """

    attack: str
    norm: str
    epsilons: np.ndarray
    correct: np.ndarray
    groups: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def envelope(self) -> np.ndarray:
        """(n, e) correct here and at every smaller budget: a smaller change is allowed at a larger budget too."""
        return np.logical_and.accumulate(self.correct, axis=1)

    def estimates(self) -> list[Estimate]:
        """Robust accuracy at each budget, of the envelope, with intervals over the groups."""
        grouping = Grouping(self.groups if len(self.groups) else np.arange(len(self.correct)))
        return [grouping.mean(column) for column in self.envelope.T]

    @property
    def raw(self) -> np.ndarray:
        """(e,) accuracy as measured at each budget alone."""
        return self.correct.mean(0)


def correct_under(rows: Rows, attack: str, norm: str) -> Curve:
    """Whether each decision is right under an attack.

    Protocol honest: an image that is wrong without any attack is wrong at every budget. Protocol paper: what counts is
    the decision on the attacked image, so that a targeted attack may repair a wrong one.
    """
    epsilons, prediction = rows.matrix(attack, norm, "prediction")
    clean = rows.clean
    correct = prediction == clean["label"][:, None]
    if rows.honest:
        correct &= (clean["clean_prediction"] == clean["label"])[:, None]
    return Curve(attack, norm, epsilons, correct, clean["group_id"])


def curves(rows: Rows) -> list[Curve]:
    """One curve per (attack, norm)."""
    return [correct_under(rows, attack, norm) for attack, norm in rows.cells]


def worst_case(rows: Rows, norm: str) -> Curve:
    """Per image the worst over all attacks of a norm, on the union of their budgets.

    Never the worst attack of the set: an image counts as robust only where every attack failed.

    Errors: ValueError for a norm that was not measured.
    """
    parts = [curve for curve in curves(rows) if curve.norm == norm]
    if not parts:
        raise ValueError(f"{norm!r} was not measured; measured: {', '.join(norms(rows)) or 'nothing'}")
    epsilons = np.unique(np.concatenate([part.epsilons for part in parts]))
    correct = np.ones((len(rows.clean), len(epsilons)), dtype=bool)
    for part in parts:
        # A budget that this attack did not try is covered by its largest smaller one.
        column = np.searchsorted(part.epsilons, epsilons, side="right") - 1
        correct &= np.where(column >= 0, part.envelope[:, np.maximum(column, 0)], True)
    return Curve(WORST_CASE, norm, epsilons, correct, parts[0].groups)


def norms(rows: Rows) -> list[str]:
    """The norms measured, in the order of the rows."""
    return list(dict.fromkeys(norm for _, norm in rows.cells))
