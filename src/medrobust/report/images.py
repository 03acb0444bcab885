"""images.html and images.csv: a row for every image of a run, from its records."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..files import write_atomic
from ..numbers import FAMILIES
from ..records.records import Records
from ..records.rows import META
from .exports.table import cell
from .measured import Json, attack_name, class_names, name_of
from .page import environment, fixed, read_audit, readable
from .words import GREY_LEVELS, number


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Args:
        key: its name in images.csv.
        title: its heading on the page.
        is_number: sorted as numbers; on the page missing values stand last.
    """

    key: str
    title: str
    is_number: bool = False


@dataclass(frozen=True)
class Table:
    """Every image: columns, rows of values in their order, and outcome of each row (untouched, misled, never)."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    outcomes: tuple[str, ...]


OUTCOMES = {"untouched": "wrong untouched", "misled": "misled", "never": "never misled"}


def _size_column(norm: str) -> Column:
    unit = "grey levels" if norm == "linf" else "severity" if norm in FAMILIES else "distance"
    return Column(f"change_{norm}", f"Smallest change, {norm} ({unit})", True)


def image_table(records: Records, audit: Json) -> Table:
    """One row per image: what it is, what it was read as, and per norm how much change that takes.

    Those that the smallest changes of the first norm mislead come first, those wrong untouched last.

    The change is the smallest that any attack found, in grey levels of 255 for linf: 0 where the image is wrong
    untouched, inf where every attack failed.
    """
    clean, names = records.clean, class_names(audit)
    title = {name: attack_name(audit, name) for name, _ in records.cells}
    labels, answers, ids = clean["label"], clean["clean_prediction"], clean["image_id"]
    sure = clean["scores"].max(1)
    columns = [Column("image_id", "Image"), Column("group_id", "Group"), Column("label", "Truth")]
    columns += [Column("prediction", "Read as"), Column("confidence", "Confidence", True)]
    values: list[Sequence[Any]] = [ids.tolist(), clean["group_id"].tolist()]
    values += [[_named(names, k) for k in labels.tolist()], [_named(names, k) for k in answers.tolist()], sure.tolist()]
    first: np.ndarray | None = None
    for norm in records.norms:
        found = records.sensitivity(norm)
        size = found.change_wrong * (GREY_LEVELS if norm == "linf" else 1)
        first = size if first is None else first
        columns += [_size_column(norm), Column(f"attack_{norm}", f"Attack, {norm}")]
        columns += [Column(f"became_{norm}", f"Became, {norm}")]
        became = [_named(names, k) if k >= 0 else "" for k in found.change_answer.tolist()]
        values += [size.tolist(), [title.get(name, "") for name in found.change_attack.tolist()], became]
    for column in sorted(name for name in records.columns if name.startswith(META)):
        columns.append(Column(column, column[len(META) :].replace("_", " "), clean[column].dtype.kind in "fiu"))
        values.append(clean[column].tolist())
    wrong = labels != answers
    size = np.where(wrong, 0.0, np.inf) if first is None else first
    order = sorted(range(len(ids)), key=lambda i: (bool(wrong[i]), size[i], str(ids[i])))
    rows = [tuple(column[i] for column in values) for i in order]
    outcomes = ["untouched" if wrong[i] else "misled" if math.isfinite(size[i]) else "never" for i in order]
    return Table(tuple(columns), tuple(rows), tuple(outcomes))


def _named(names: Sequence[str], index: int) -> str:
    return names[index] if 0 <= index < len(names) else str(index)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def images_csv(table: Table) -> str:
    """The table for a spreadsheet; "inf" where an image was never misled."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*(column.key for column in table.columns), "outcome"])
    for row, outcome in zip(table.rows, table.outcomes, strict=True):
        writer.writerow([*(cell(None if _missing(value) else value) for value in row), outcome])
    return out.getvalue()


def _shown(column: Column, value: Any) -> str:
    if _missing(value):
        return ""
    if not column.is_number:
        return str(value)
    if column.key.startswith("change_"):
        return "never" if math.isinf(value) else number(value, 3)
    return f"{value:.3f}" if column.key == "confidence" else f"{value:.12g}"


def images_html(table: Table, audit: Json) -> str:
    """The page: a plain table, and where scripts run it can be sorted and filtered."""
    data = audit["data"]
    rows = [
        (outcome, [_shown(column, value) for column, value in zip(table.columns, row, strict=True)])
        for row, outcome in zip(table.rows, table.outcomes, strict=True)
    ]
    counts = [(key, words, table.outcomes.count(key)) for key, words in OUTCOMES.items()]
    return (
        environment()
        .get_template("images.html.j2")
        .render(
            **fixed("table.js"),
            model=name_of(audit["model"]),
            data_name=name_of(data) if data else "",
            columns=table.columns,
            rows=rows,
            counts=counts,
        )
    )


def write_images(folder: Path) -> Path:
    """Write images.html and images.csv of a run from audit.json and records.parquet; returns the path of the page.

    Errors: UserError where one of the two is missing or cannot be read.
    """
    folder = Path(folder)
    audit, records = read_audit(folder), Records.read(folder / "records.parquet")
    with readable(folder):
        table = image_table(records, audit)
        page = images_html(table, audit)
    write_atomic(folder / "images.csv", images_csv(table))
    write_atomic(folder / "images.html", page)
    return folder / "images.html"
