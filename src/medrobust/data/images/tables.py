"""Tables of data sets: CSV of any usual encoding and separator, class names, group names."""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import UserError, nearest
from ...files import write_atomic
from ..files.kinds import refuse_pointer
from ..files.pixels import BrokenImageError
from .sample import Sample

SEPARATORS = ",;\t|"
_STATED = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
_WHOLE = re.compile(r"([+-]?\d+)\.0+")


def read_text(path: Path) -> str:
    """Text in UTF-8, in UTF-16 with its mark, or in cp1252. Errors: UserError for what is none of them."""
    if not path.exists():
        raise UserError(str(path), "no such file")
    try:
        content = path.read_bytes()
        refuse_pointer(content)
        marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        text = content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = content.decode("cp1252")
        except UnicodeDecodeError as error:
            raise UserError(str(path), f"cannot be read as a CSV table: {error}", "save it as UTF-8") from error
    except (OSError, BrokenImageError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(str(path), f"cannot be read as a CSV table: {reason}") from error
    if "\0" in text:
        raise UserError(str(path), "cannot be read as a CSV table: it holds zero bytes", "save it as UTF-8")
    return text


def read_table(path: Path, required: Iterable[str]) -> list[dict[str, str]]:
    """Rows of a CSV with a header, cells stripped; the key "" holds the line number. Rows without text are left out.

    The separator is the first of comma, semicolon, tab and bar with which the header has the required columns.

    Errors: UserError when the file or a required column is missing, two columns have one name, a row is longer or
    shorter than the header, or the file is not text.
    """
    text, required = read_text(path), list(required)
    stated = _STATED.match(text)  # how Excel is told the separator
    try:
        lines = _cells(text, stated[1] if stated else _separator(text, required))
        lines = lines[1:] if stated else lines
    except csv.Error as error:
        raise UserError(str(path), f"cannot be read as a CSV table: {error}") from error
    columns = lines[0][1] if lines else []
    for column in required:
        alike = [name for name in columns if name.casefold() == column.casefold()]
        if len(set(alike)) > 1 and column in columns:
            raise UserError(str(path), f"two columns are named {' and '.join(map(repr, alike))}", "rename one")
        if column not in columns:
            fix = nearest(column, filter(None, columns)) if any(columns) else "file is empty"
            raise UserError(str(path), f"no column {column!r}", fix)
    twice = [name for name, count in Counter(filter(None, columns)).items() if count > 1]
    if twice:
        raise UserError(str(path), f"two columns are named {twice[0]!r}", "keep one, or rename the other")
    rows = [_row(f"{path} line {number}", number, cells, columns) for number, cells in lines[1:]]
    if not rows:
        raise UserError(str(path), "no rows below the header")
    return rows


def _row(place: str, number: int, cells: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    if len(cells) < len(columns) or any(cells[len(columns) :]):
        fix = "write an empty cell as two separators, and text with a separator in quotes"
        raise UserError(place, f"its number of cells is {len(cells)}, the header has {len(columns)}", fix)
    return {name: cell for name, cell in zip(columns, cells, strict=False) if name} | {"": str(number)}


def _cells(text: str, separator: str) -> list[tuple[int, list[str]]]:
    """Line number and stripped cells of every row with text."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows = ((reader.line_num, [cell.strip() for cell in row]) for row in reader)
    return [(number, cells) for number, cells in rows if any(cells)]


def _separator(text: str, required: Sequence[str]) -> str:
    head = next((line for line in text.splitlines() if line.strip()), "")
    found = {mark: [cell.strip() for cell in next(csv.reader([head], delimiter=mark), [])] for mark in SEPARATORS}
    fitting = [mark for mark, columns in found.items() if set(required) <= set(columns)] or list(SEPARATORS)
    return max(fitting, key=lambda mark: len(found[mark]))


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


def plain(text: str) -> str:
    """A label or the name of a group without the .0 that spreadsheets and data frames give whole numbers.

    Example:
        >>> plain("1000.0"), plain("007"), plain("1.5")
        ('1000', '007', '1.5')
    """
    match = _WHOLE.fullmatch(text)
    return match[1] if match else text


def class_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Distinct labels sorted, as numbers when all of them are whole numbers."""
    distinct = set(labels)
    return tuple(sorted(distinct, key=int) if all(word.isdecimal() for word in distinct) else sorted(distinct))


def spelled_alike(names: Iterable[str]) -> tuple[str, str] | None:
    """Two names that differ only in case, spaces, hyphens, underscores, or as spellings of one number.

    Example:
        >>> spelled_alike(["benign", "malignant", "Benign"]), spelled_alike(["a", "b"])
        (('Benign', 'benign'), None)
    """
    seen: dict[object, str] = {}
    for name in sorted(set(names)):
        value = number(name)
        word = re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", name).casefold())
        key = value if isinstance(value, float) else word or name
        if key in seen:
            return seen[key], name
        seen[key] = name
    return None


def unique_samples(samples: Iterable[Sample], place: str) -> Iterator[Sample]:
    """Pass samples through. Errors: UserError at the second sample with the same image_id."""
    seen: set[str] = set()
    for sample in samples:
        if sample.image_id in seen:
            raise UserError(place, f"the image {sample.image_id} is listed twice", "keep one row per image")
        seen.add(sample.image_id)
        yield sample
