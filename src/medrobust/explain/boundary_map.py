"""A map of the decision boundary as values: what boundary.py finds, what explain.json holds, and its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from ..numbers import epsilon_text
from ..plane import Mark, Plane, Points, caution, colors_of, plane_file, told

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class BoundaryMap:
    """Images in a plane, untouched and at each budget, over regions of the answers.

    Args:
        places: (m, 2) of all points, each image and each changed image once.
        answers: (m,) what the classifier answers.
        at: (1 + budgets, n) which of the m points each image is: untouched, then at each budget.
        labels: (n,) true classes.
        budgets: ascending, and their norm.
        classes, ids: names.
        box: left, bottom, right and top of the plane; fills: (s, s) the class of each cell, rows from the bottom.
        method: of the embedding; layer: whose input the features are, in words.
        k: neighbors that the next two are of.
        trustworthiness: how far neighbors in the plane are neighbors in feature space, 1 if all are.
        neighbors_kept: share of the k nearest neighbors in feature space that are among the k nearest in the plane.
        fill_agrees: share of the points whose cell shows the answer that the point has.
    """

    places: NDArray[np.float64]
    answers: NDArray[np.int64]
    at: NDArray[np.int64]
    labels: NDArray[np.int64]
    budgets: tuple[float, ...]
    norm: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    box: tuple[float, float, float, float]
    fills: NDArray[np.int64]
    method: str
    layer: str
    k: int
    trustworthiness: float
    neighbors_kept: float
    fill_agrees: float

    @property
    def plane(self) -> Plane:
        """What lies under the points, for pictures."""
        colors = colors_of([*self.answers.tolist(), *self.labels.tolist()], len(self.classes))
        return Plane(self.box, self.fills.tolist(), self.classes, colors)

    @property
    def caution(self) -> str:
        """What the plane cannot show, in one sentence with its numbers."""
        return caution(self.method, self.neighbors_kept, self.k, self.trustworthiness, self.fill_agrees)

    def marks(self, row: int) -> list[Mark]:
        """The points of a picture: 0 is untouched, then one for each budget."""
        return self._points.marks(row)

    @property
    def _points(self) -> Points:
        places, answers, at, labels = (one.tolist() for one in (self.places, self.answers, self.at, self.labels))
        return Points(places, answers, at, labels, self.ids, self.classes)

    def svg(self, row: int) -> str:
        """A picture as the text of an SVG file: 0 is untouched, then one for each budget."""
        heading = f"Within {epsilon_text(self.budgets[row - 1], self.norm)}" if row else "Untouched"
        marks = self.marks(row)
        return plane_file(self.plane, marks, heading, f"{told(marks)} {self.caution}")

    def _repr_html_(self) -> str:
        """All pictures, for a notebook."""
        return "".join(self.svg(row).replace("<svg", '<svg width="320"', 1) for row in range(len(self.at)))

    def as_dict(self) -> dict[str, Any]:
        """As explain.json holds it: the plane is 1 x 1, and the cells of all rows are runs of (class, length)."""
        left, bottom, right, top = self.box
        unit = (self.places - [left, bottom]) / [right - left, top - bottom]
        runs = [[int(k), len(list(run))] for k, run in groupby(self.fills.reshape(-1).tolist())]
        return {
            "method": self.method,
            "layer": self.layer,
            "k": self.k,
            "trustworthiness": round(self.trustworthiness, 6),
            "neighbors_kept": round(self.neighbors_kept, 6),
            "fill_agrees": round(self.fill_agrees, 6),
            "budgets": list(self.budgets),
            "places": unit.round(5).tolist(),
            "answers": self.answers.tolist(),
            "at": self.at.tolist(),
            "size": len(self.fills),
            "runs": runs,
        }
