"""What a paper reports: expected.csv, one row for each number of its tables."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError, nearest
from ..numbers import parse_number
from ..records.metric_names import METRICS

HEADER = ("table", "row", "column", "metric", "reported", "spread", "unit", "select")
PERCENT, POINTS, SHARE, COUNT = "%", "points", "1", "count"
UNITS = (PERCENT, POINTS, SHARE, COUNT)
NUM_PARAMETERS, ROBUST_PRECISION = "num_parameters", "mean_average_robust_precision"
KNOWN = (*METRICS, "macro_precision", NUM_PARAMETERS, ROBUST_PRECISION)
ALL, AWARE = "all", "aware"  # which images count: all, or those left when the most sensitive ones are dropped
NOTHING = ("", "-")  # printed where the paper reports nothing
TOLERANCE = 0.02  # share; 2 points


@dataclass(frozen=True)
class Wanted:
    """Which of our numbers a paper's number is compared with.

    Args:
        metric: as in expected.csv.
        where: axis -> value, or values with commas between them, whose mean is meant; and attack, norm, epsilon.
        subset: all images, or "aware", those left without the fifth that is most sensitive.
        minus: the keys that are changed for the value that is subtracted; none where nothing is.
    """

    metric: str
    where: Mapping[str, str]
    subset: str = ALL
    minus: tuple[tuple[str, str], ...] = ()

    @property
    def other(self) -> Wanted:
        """What is subtracted."""
        changed = dict(self.minus)
        subset = changed.pop("subset", self.subset)
        return Wanted(self.metric, {**self.where, **changed}, subset)


@dataclass(frozen=True)
class Expected:
    """A number of a paper's table.

    Args:
        table, row, column: where it stands, in the paper's words.
        wanted: which of our numbers it is.
        reported: in the paper's unit; None where the paper reports nothing.
        spread: what the paper prints after the plus-minus sign, in its unit.
        unit: %, points (a difference of percentages), 1 or count.
        printed: the digits of the paper, with its spread; "" where it reports nothing.
    """

    table: str
    row: str
    column: str
    wanted: Wanted
    reported: float | None
    spread: float | None
    unit: str
    printed: str = ""

    @property
    def scale(self) -> float:
        """What one of ours is in the paper's unit."""
        return 100.0 if self.unit in (PERCENT, POINTS) else 1.0

    @property
    def tolerance(self) -> float:
        """How far ours may be from it, in the paper's unit: its spread, at least 2 points or 0.02; none for a count."""
        return 0.0 if self.unit == COUNT else max(self.spread or 0.0, TOLERANCE * self.scale)


def read_expected(path: Path) -> tuple[Expected, ...]:
    """The rows of an expected.csv, in its order.

    Args:
        path: a table with the columns of HEADER. `select` holds key=value with spaces between; `minus=key:value` and
            `subset=aware` stand there too.

    Errors: UserError naming file and line for what is not in this form.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(str(path), "no such file") from error
    except (OSError, ValueError) as error:
        raise UserError(str(path), f"cannot be read: {error}") from error
    found: list[Expected] = []
    places: dict[tuple[str, str, str], int] = {}
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = tuple(next(rows, ()))
        if header != HEADER:
            raise UserError(f"{path}:1", f"the header is {','.join(header)!r}", f"write {','.join(HEADER)}")
        for cells in rows:
            if not cells:
                continue
            place = f"{path}:{rows.line_num}"
            if len(cells) != len(HEADER):
                raise UserError(place, f"has {len(cells)} cells instead of {len(HEADER)}", "quote what holds commas")
            one = _row(dict(zip(HEADER, (cell.strip() for cell in cells), strict=True)), place)
            key = (one.table, one.row, one.column)
            if key in places:
                raise UserError(place, f"is the same cell of table {one.table} as line {places[key]}", "name each once")
            places[key] = rows.line_num
            found.append(one)
    except csv.Error as error:
        raise UserError(f"{path}:{rows.line_num}", f"is no CSV: {error}", "close the quotes") from error
    return tuple(found)


def _row(cells: Mapping[str, str], place: str) -> Expected:
    for name in ("table", "row", "column"):
        if not cells[name]:
            raise UserError(place, f"{name} is empty", "name the table, the row and the column")
    metric, unit = cells["metric"], cells["unit"]
    if metric not in KNOWN:
        raise UserError(place, f"unknown metric {metric!r}", nearest(metric, KNOWN))
    if unit not in UNITS or (unit == COUNT) != (metric == NUM_PARAMETERS):
        raise UserError(place, f"the unit of {metric} is {unit!r}", "valid: %, points, 1; count for num_parameters")
    nothing = cells["reported"] in NOTHING
    where, subset, minus = _selection(cells["select"], place)
    if subset == AWARE and metric != "accuracy":
        raise UserError(place, f"{metric} of subset=aware", "of a subset the accuracy alone is known")
    return Expected(
        cells["table"],
        cells["row"],
        cells["column"],
        Wanted(metric, where, subset, minus),
        None if nothing else _number(cells["reported"], place),
        _number(cells["spread"], place) if cells["spread"] not in NOTHING else None,
        unit,
        "" if nothing else " \u00b1 ".join(filter(None, (cells["reported"], cells["spread"].strip("-")))),
    )


def _number(text: str, place: str) -> float:
    """A plain number: the unit stands in a column of its own, so 88.37% would say it twice."""
    if text.endswith("%") or "/" in text:
        raise UserError(place, f"{text!r} is not a number", "write 88.37, and the unit in its column")
    value = parse_number(text, place)
    if not math.isfinite(value):
        raise UserError(place, f"{text!r} is not a number", "write '-' where the paper reports nothing")
    return value


def _selection(text: str, place: str) -> tuple[dict[str, str], str, tuple[tuple[str, str], ...]]:
    where = _pairs(text.split(), "=", place)
    minus = _pairs([part for part in where.pop("minus", "").split(",") if part], ":", place)
    subset = where.pop("subset", ALL)
    for given in (subset, minus.get("subset", ALL)):
        if given not in (ALL, AWARE):
            raise UserError(place, f"unknown subset {given!r}", f"valid: {ALL}, {AWARE}")
    for key in minus:
        if key != "subset" and "," in where.get(key, ","):
            raise UserError(place, f"minus changes {key}, which select gives no one value", f"write {key}=VALUE")
    for keys in (where, minus):
        if "epsilon" in keys:
            parse_number(keys["epsilon"], place)
    return where, subset, tuple(minus.items())


def _pairs(parts: list[str], sign: str, place: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in parts:
        key, middle, value = part.partition(sign)
        if not (key and middle and value):
            raise UserError(place, f"{part!r} is no selection", f"write key{sign}value")
        if key in found:
            raise UserError(place, f"{key} is given twice", "give each key once")
        found[key] = value
    return found
