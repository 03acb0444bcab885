"""Robust accuracy against epsilon: as measured, as the protocol counts it, worst case."""

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
        nested: whether an image broken at one budget counts as broken at every larger one. Protocol paper: False.
    """

    attack: str
    norm: str
    epsilons: np.ndarray
    correct: np.ndarray
    groups: np.ndarray = field(default_factory=lambda: np.empty(0))
    nested: bool = True

    @property
    def envelope(self) -> np.ndarray:
        """(n, e) correct here and at every smaller budget: a smaller change is allowed at a larger budget too."""
        return np.logical_and.accumulate(self.correct, axis=1)

    @property
    def counted(self) -> np.ndarray:
        """(n, e) what counts as correct: the envelope, or each budget alone where the papers counted so."""
        return self.envelope if self.nested else self.correct

    def estimates(self) -> list[Estimate]:
        """Robust accuracy at each budget, as the protocol counts it, with intervals over the groups."""
        grouping = Grouping(self.groups if len(self.groups) else np.arange(len(self.correct)))
        return [grouping.mean(column) for column in self.counted.T]

    @property
    def raw(self) -> np.ndarray:
        """(e,) accuracy as measured at each budget alone."""
        return self.correct.mean(0)


def correct_under(rows: Rows, attack: str, norm: str) -> Curve:
    """Whether each decision is right under an attack.

    Protocol honest: an image that is wrong without any attack is wrong at every budget. Protocol paper: what counts is
    the decision on the attacked image at each budget alone, so that a targeted attack may repair a wrong one, and a
    larger budget what a smaller one broke.
    """
    epsilons, prediction = rows.matrix(attack, norm, "prediction")
    clean = rows.clean
    correct = prediction == clean["label"][:, None]
    if rows.honest:
        correct &= (clean["clean_prediction"] == clean["label"])[:, None]
    return Curve(attack, norm, epsilons, correct, clean["group_id"], rows.honest)


def curves(rows: Rows) -> list[Curve]:
    """One curve per (attack, norm)."""
    return [correct_under(rows, attack, norm) for attack, norm in rows.cells]


def worst_case(rows: Rows, norm: str) -> Curve:
    """Per image the worst over all attacks of a norm, on the union of their budgets.

    Never the worst attack of the set: an image counts as robust only where every attack failed. A budget that an attack
    did not try is covered by its largest smaller one; under protocol paper it says nothing.

    Errors: ValueError for a norm that was not measured.
    """
    parts = [curve for curve in curves(rows) if curve.norm == norm]
    if not parts:
        raise ValueError(f"{norm!r} was not measured; measured: {', '.join(norms(rows)) or 'nothing'}")
    epsilons = np.unique(np.concatenate([part.epsilons for part in parts]))
    correct = np.ones((len(rows.clean), len(epsilons)), dtype=bool)
    for part in parts:
        column = np.searchsorted(part.epsilons, epsilons, side="right") - 1
        covered = column >= 0 if part.nested else np.isin(epsilons, part.epsilons)
        correct &= np.where(covered, part.counted[:, np.maximum(column, 0)], True)
    return Curve(WORST_CASE, norm, epsilons, correct, parts[0].groups, rows.honest)


def norms(rows: Rows) -> list[str]:
    """The norms measured, in the order of the rows."""
    return list(dict.fromkeys(norm for _, norm in rows.cells))
