"""What a panel of pictures is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...report.measured import mapping
from ..read import RUN, Outcome
from ..worker import read_or_none

NO_PICTURES = "Pictures of patients stay where the study was run; run it to see them."


@dataclass(frozen=True)
class Part:
    """One picture of a panel.

    Args:
        title: above it.
        svg, png: the picture: the text of an SVG, or a PNG as data URI.
        counts: in place of a picture a matrix, rows what images are, columns what they are read as.
        classes: names of its rows and columns.
        words: below it.
        legend: (sign as SVG, its meaning), below all parts of the panel.
    """

    title: str
    svg: str = ""
    png: str = ""
    counts: tuple[tuple[int, ...], ...] = ()
    classes: tuple[str, ...] = ()
    words: str = ""
    legend: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Asked:
    """What a figure asks of an outcome.

    Args:
        outcome: an audit that is done.
        attack, norm, epsilon: the condition that is shown beside the unchanged images.
        map: the name of a map of medrobust.explain.
    """

    outcome: Outcome
    attack: str
    norm: str
    epsilon: float
    map: str = ""

    @property
    def run(self) -> Path | None:
        """The run of the audit; None of an outcome that was made in memory."""
        return None if self.outcome.folder is None else self.outcome.folder / RUN

    def read(self, *names: str) -> Mapping[str, Any]:
        """A JSON file of the run; empty where there is none."""
        return {} if self.run is None else mapping(read_or_none(self.run.joinpath(*names)))


# Its parts, and what is to be said of them, or why there are none.
Shown = tuple[tuple[Part, ...], str]
