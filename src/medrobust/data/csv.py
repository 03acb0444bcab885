"""csv:FILE, a table with the columns image, label and, if known, group, split, frame and metadata."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..errors import UserError, nearest
from .cards import DatasetCard
from .folder import SPLIT_FOLDERS
from .image_set import ImageSet
from .sample import Sample

CARD = DatasetCard(
    name="csv",
    title="Your images, listed in a table",
    group="the column group, else the image",
    layout="a CSV with a header: image (path relative to the CSV), label [, group] [, split] [, frame] [, more ...]",
)


def read_table(path: Path, required: Iterable[str]) -> list[dict[str, str]]:
    """Rows of a CSV with a header, column names in lower case as the header writes them after stripping.

    Errors: UserError when the file or a required column is missing, or the file is not text.
    """
    if not path.exists():
        raise UserError(str(path), "no such file")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = [(name or "").strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            rows = [{key: (value or "").strip() for key, value in row.items() if key is not None} for row in reader]
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


def metadata(row: dict[str, str], used: Iterable[str]) -> dict[str, str | float]:
    """The columns that are not used otherwise; numbers as float, empty cells left out."""
    return {key: number(value) for key, value in row.items() if key and key not in used and value != ""}


def number(text: str) -> str | float:
    """A float where the text is one, else the text."""
    try:
        return float(text)
    except ValueError:
        return text


def class_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Distinct labels sorted, as numbers when all of them are whole numbers."""
    distinct = set(labels)
    return tuple(sorted(distinct, key=int) if all(word.isdecimal() for word in distinct) else sorted(distinct))


def unique_samples(samples: Iterable[Sample], place: str) -> Iterator[Sample]:
    """Pass samples through. Errors: UserError at the second sample with the same image_id."""
    seen: set[str] = set()
    for sample in samples:
        if sample.image_id in seen:
            raise UserError(place, f"the image {sample.image_id} is listed twice", "keep one row an image")
        seen.add(sample.image_id)
        yield sample


def open_csv(path: str, *, classes: Sequence[str] | None = None) -> ImageSet:
    """Open a table of images.

    Args:
        path: the CSV file.
        classes: the classes in order; every label of the table must be one of them, or be left out on purpose with an
            entry "-name".

    Errors: UserError for a missing file, column or image path, an unknown label or split, one class, a repeated image.
    """
    if not path:
        raise UserError(CARD.name, "no path given", "write csv:FILE")
    table = Path(path).expanduser()
    rows = read_table(table, ("image", "label"))
    dropped = {word[1:] for word in classes or () if word.startswith("-")}
    rows = [row for row in rows if row["label"] not in dropped]
    names = tuple(word for word in classes or () if not word.startswith("-")) or class_order(
        row["label"] for row in rows
    )
    if len(names) < 2:
        raise UserError(str(table), f"only one class, {', '.join(names)!r}", "a classifier needs two or more")
    splits = any(row.get("split") for row in rows)
    outside = [row["image"] for row in rows if Path(row["image"]).is_absolute()]
    root = Path(os.path.commonpath([Path(image).parent for image in outside])) if outside else table.parent
    samples = [_sample(table, root, line, row, names, splits) for line, row in enumerate(rows, start=2)]
    return ImageSet(table.stem, names, unique_samples(samples, str(table)), card=CARD)


def _sample(table: Path, root: Path, line: int, row: dict[str, str], names: Sequence[str], splits: bool) -> Sample:
    place = f"{table} line {line}"
    if not row["image"]:
        raise UserError(place, "no image path")
    if row["label"] not in names:
        fix = f"correct it, or add '-{row['label']}' to data.classes to leave such rows out"
        raise UserError(place, f"the label {row['label']!r} is not one of the classes {', '.join(names)}", fix)
    split = SPLIT_FOLDERS.get(row.get("split", "").lower(), "")
    if splits and not split:
        raise UserError(place, f"unknown split {row.get('split', '')!r}", "valid: train, val, test")
    frame = row.get("frame") or "0"
    if not frame.isdecimal():
        raise UserError(place, f"frame {frame!r} is not a whole number from 0")
    image = Path(row["image"])
    # records never name the user's machine: absolute paths are cut to what they do not share
    image_id = image.relative_to(root).as_posix() if image.is_absolute() else image.as_posix()
    image_id += f"#{frame}" if int(frame) else ""
    extra = metadata(row, ("image", "label", "group", "split", "frame"))
    return Sample(
        image_id,
        table.parent / image,
        names.index(row["label"]),
        row.get("group") or image_id,
        split,
        extra,
        int(frame),
    )
