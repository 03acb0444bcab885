"""CSV tables of data sets."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import UserError, nearest
from ...files import write_atomic
from .sample import Sample


def read_table(path: Path, required: Iterable[str]) -> list[dict[str, str]]:
    """Rows of a CSV with a header, cells stripped; the key "" holds the line number.

    Errors: UserError when the file or a required column is missing, or the file is not text.
    """
    if not path.exists():
        raise UserError(str(path), "no such file")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = [(name or "").strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            rows = []
            for row in reader:
                cells = {key: (value or "").strip() for key, value in row.items() if key}
                rows.append(cells | {"": str(reader.line_num)})
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(str(path), f"cannot be read as a CSV table: {error}") from error
    for column in required:
        if column not in columns:
            raise UserError(
                str(path), f"no column {column!r}", nearest(column, columns) if columns else "file is empty"
            )
    if not rows:
        raise UserError(str(path), "no rows below the header")
    return rows


def write_table(path: Path | str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a CSV with all columns that occur, in the order of their first row; the file is whole or absent."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, text.getvalue())


def metadata(row: dict[str, str], used: Iterable[str]) -> dict[str, str | float]:
    """The columns that are not used otherwise; numbers as float, empty cells left out."""
    return {key: number(value) for key, value in row.items() if key and key not in used and value != ""}


def number(text: str) -> str | float:
    """A float where the text is one, else the text."""
    try:
        value = float(text)
    except ValueError:
        return text
    return value if math.isfinite(value) else text


def class_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Distinct labels sorted, as numbers when all of them are whole numbers."""
    distinct = set(labels)
    return tuple(sorted(distinct, key=int) if all(word.isdecimal() for word in distinct) else sorted(distinct))


def unique_samples(samples: Iterable[Sample], place: str) -> Iterator[Sample]:
    """Pass samples through. Errors: UserError at the second sample with the same image_id."""
    seen: set[str] = set()
    for sample in samples:
        if sample.image_id in seen:
            raise UserError(place, f"the image {sample.image_id} is listed twice", "keep one row per image")
        seen.add(sample.image_id)
        yield sample
