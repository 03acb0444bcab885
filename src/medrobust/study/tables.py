"""The tables of a paper redrawn: in each cell what it reports, and ours under every protocol."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..records.intervals import Estimate
from .expected import Expected
from .read import Study
from .verdicts import Verdict, counts, protocols
from .words import in_unit, interval_text, unit_words

RESULT_COLUMNS = ("protocol", "attack", "norm", "epsilon", "metric", "value", "low", "high", "num_images")


@dataclass(frozen=True)
class Cell:
    """A number of a paper, and the verdicts on it by protocol."""

    expected: Expected
    verdicts: Mapping[str, Verdict]

    @property
    def reported(self) -> str:
        """As the paper prints it, with its spread."""
        return self.expected.printed or "-"


@dataclass(frozen=True)
class Table:
    """A table of a paper.

    Args:
        name: its number.
        rows, columns: their names, in the paper's order.
        cells: (row, column) -> the number there; a table may have holes.
    """

    name: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]

    @property
    def words(self) -> str:
        """What its numbers are."""
        kinds = dict.fromkeys(unit_words(one.expected.unit, one.expected.wanted.metric) for one in self.cells.values())
        return "; ".join(kinds)

    def counted(self, protocol: str) -> dict[str, int]:
        """Verdict -> how many of its numbers have it."""
        return counts([one.verdicts[protocol] for one in self.cells.values()], protocol)


def tables(found: Iterable[Verdict]) -> tuple[Table, ...]:
    """The verdicts as the tables of the paper, in the order in which they are given."""
    grouped: dict[str, dict[tuple[str, str], dict[str, Verdict]]] = {}
    for one in found:
        place = (one.expected.row, one.expected.column)
        grouped.setdefault(one.expected.table, {}).setdefault(place, {})[one.protocol] = one
    return tuple(
        Table(
            name,
            tuple(dict.fromkeys(row for row, _ in places)),
            tuple(dict.fromkeys(column for _, column in places)),
            {place: Cell(next(iter(given.values())).expected, given) for place, given in places.items()},
        )
        for name, places in grouped.items()
    )


def value_text(verdict: Verdict) -> str:
    """Our value in the paper's unit; "" where there is none."""
    ours = verdict.found.estimate
    return "" if ours is None else in_unit(ours.value, verdict.expected.unit)


def range_text(verdict: Verdict) -> str:
    """Its interval in the paper's unit."""
    ours: Estimate | None = verdict.found.estimate
    return "" if ours is None else interval_text(ours, verdict.expected.unit)


def results_csv(study: Study) -> str:
    """Every metric of every condition of every outcome, one row each, as CSV; what is undefined is empty."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*study.all_axes, *RESULT_COLUMNS])
    order = {name: number for number, name in enumerate(protocols(study))}
    for one in sorted(study.outcomes, key=lambda outcome: order[outcome.protocol]):
        place = [one.axes[axis] for axis in study.all_axes]
        for condition in one.result["conditions"]:
            under = [condition["attack"], condition["norm"], repr(float(condition["epsilon"]))]
            for metric, found in condition["metrics"].items():
                values = ["" if found.get(key) is None else repr(float(found[key])) for key in ("value", "low", "high")]
                rows.writerow([*place, one.protocol, *under, metric, *values, one.result["num_images"]])
    return text.getvalue()
