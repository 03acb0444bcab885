"""csv:FILE, a table with the columns image, label and, if known, group, split, frame and metadata."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from ...errors import UserError, nearest
from ..choose.classes import select_classes
from ..choose.entries import Entry, read_entry
from ..files.arrays import WHOLE
from ..images.card import DatasetCard
from ..images.image_set import ImageSet
from ..images.sample import Sample
from ..images.tables import class_order, metadata, plain, read_table, spelled_alike, unique_samples
from .folder import SPLIT_FOLDERS, readable

CARD = DatasetCard(
    name="csv",
    title="Your images, listed in a table",
    group="the column group, else the image",
    layout="a CSV with a header: image (path relative to the CSV), label [, group] [, split] [, frame] [, more ...]",
)
BLANK = ("", "nan", "n/a", "#n/a", "null", "<na>")  # what programs write for an empty cell
_ELSEWHERE = re.compile(r"[A-Za-z]:[\\/]|\\\\|[a-z]+://")  # another system's paths, and addresses


def open_csv(path: str, *, classes: Sequence[str] | None = None) -> ImageSet:
    """Open a table of images. A label or group 1.0 is 1, as spreadsheets mean it.

    Args:
        path: the CSV file.
        classes: the classes in order; every label of the table must be one of them, or be left out on purpose with an
            entry "-name". Entries may also be rules, see select_classes.

    Errors: UserError for a missing file, column or image path, an unknown label or split, one class, a repeated image;
    without `classes`, also for labels that are empty, uncertain, several in one, or one class in two spellings.
    """
    if not path:
        raise UserError(CARD.name, "no path given", "write csv:FILE")
    table = Path(path).expanduser()
    readable(table)
    _files.cache_clear()
    rows = [row | {"label": plain(row["label"])} for row in read_table(table, ("image", "label"))]
    labels = [row["label"] for row in rows]
    entries = [read_entry(text, () if text.startswith("-") else labels) for text in map(plain, classes or ())]
    dropped = {plain(entry.name) for entry in entries if entry.dropped}
    rows = [row for row in rows if row["label"] not in dropped]
    entries = [entry for entry in entries if not entry.dropped]
    _check_labels(table, rows, entries)
    names = _names(entries, [row["label"] for row in rows])
    if len(names) < 2:
        raise UserError(str(table), f"only one class, {', '.join(names)!r}", "a classifier needs two or more")
    splits = any(row.get("split") for row in rows)
    outside = [row["image"] for row in rows if Path(row["image"]).is_absolute()]
    root = Path(os.path.commonpath([Path(image).parent for image in outside])) if outside else table.parent
    samples = [_sample(table, root, row, names, splits) for row in rows]
    images = ImageSet(table.stem, names, unique_samples(samples, str(table)), card=CARD)
    if any(entry.rule for entry in entries):
        return select_classes(images, [text for text in map(plain, classes or ()) if not text.startswith("-")])
    return images


def _names(entries: Sequence[Entry], labels: Sequence[str]) -> tuple[str, ...]:
    """The classes of the rows, in order: those that entries name, then those that `rest` may take."""
    named = dict.fromkeys(name for entry in entries for name in entry.members)
    for name in named if any(entry.rule for entry in entries) else ():
        if name not in labels:
            raise UserError("data.classes", f"unknown class {name!r}", nearest(name, filter(None, set(labels))))
    return tuple(named | dict.fromkeys(class_order(filter(None, labels)))) if _all_wanted(entries) else tuple(named)


def _all_wanted(entries: Sequence[Entry]) -> bool:
    """Nobody has said which classes, or one of them is `rest`."""
    return not entries or any(not entry.members for entry in entries)


def _check_labels(table: Path, rows: Sequence[dict[str, str]], entries: Sequence[Entry]) -> None:
    """Errors: UserError for labels that nobody has named as classes and that hardly are."""
    known, named = {row["label"] for row in rows}, {name for entry in entries for name in entry.members}
    for row in rows if _all_wanted(entries) else ():
        label, place = row["label"], f"{table} line {row['']}"
        if label in named:
            continue
        fix = f"correct it, or add '-{label}' to data.classes to leave such rows out"
        if label.lower() in BLANK:
            raise UserError(place, f"the cell 'label' is {repr(label) if label else 'empty'}", fix)
        if label == "?" or re.fullmatch(r"-\d+(\.\d+)?", label):
            raise UserError(place, f"the label {label!r} looks like a mark for uncertain", fix)
        parts = [part.strip() for part in re.split(r"[|;,/&+]", label)]
        if "|" in label or (len(parts) > 1 and any(part in known for part in parts)):
            fix = "give each image one label, or list data.classes with this one among them"
            raise UserError(place, f"the label {label!r} looks like several labels", fix)
    pair = spelled_alike(known) if _all_wanted(entries) else None
    if pair and not named >= set(pair):
        line = next(row[""] for row in rows if row["label"] == pair[1])
        problem = f"the labels {pair[0]!r} and {pair[1]!r} differ only in spelling"
        raise UserError(f"{table} line {line}", problem, "spell them alike, or list data.classes with both")


def _sample(table: Path, root: Path, row: dict[str, str], names: Sequence[str], splits: bool) -> Sample:
    place = f"{table} line {row['']}"
    for column in ("image", "label"):
        if not row[column]:
            raise UserError(place, f"the cell {column!r} is empty")
    if row["label"] not in names:
        fix = f"correct it, or add '-{row['label']}' to data.classes to leave such rows out"
        raise UserError(place, f"the label {row['label']!r} is not one of the classes {', '.join(names)}", fix)
    split = SPLIT_FOLDERS.get(row.get("split", "").lower(), "")
    if splits and not split:
        raise UserError(place, f"unknown split {row.get('split', '')!r}", "valid: train, val, test")
    frame = plain(row.get("frame", ""))
    if frame and not frame.isdecimal():
        raise UserError(place, f"frame {frame!r} is not a whole number from 0")
    image = _find(table.parent, row["image"], place)
    # records never name the user's machine: absolute paths are cut to what they do not share
    image_id = image.relative_to(root).as_posix() if image.is_absolute() else image.as_posix()
    group_id = plain(row.get("group", "")) or image_id
    image_id += f"#{int(frame)}" if frame else ""
    extra = metadata(row, ("image", "label", "group", "split", "frame"))
    number_of_frame = int(frame) if frame else WHOLE
    label = names.index(row["label"])
    return Sample(image_id, table.parent / image, label, group_id, split, extra, number_of_frame)


def _find(folder: Path, text: str, place: str) -> Path:
    """The file that a cell names: as written, with backslashes, or without its ending.

    Errors: UserError for a path of another computer, or a name that fits several files.
    """
    image = Path(os.path.normpath(text))
    if os.path.isfile(folder / image):
        return image
    if _ELSEWHERE.match(text):
        raise UserError(place, f"{text} is a path on another computer", "write paths relative to the table")
    image = Path(os.path.normpath(text.replace("\\", "/")))
    if os.path.isfile(folder / image) or image.suffix.lower() in _endings(folder / image.parent):
        return image
    fitting = [name for name in _files(folder / image.parent) if Path(name).stem == image.name]
    if len(fitting) > 1:
        raise UserError(place, f"{text} has no ending and fits {', '.join(fitting)}", "write the whole name")
    return image.with_name(fitting[0]) if fitting else image


@lru_cache(maxsize=256)
def _files(folder: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(entry.name for entry in os.scandir(folder)))
    except OSError:
        return ()


def _endings(folder: Path) -> set[str]:
    return {Path(name).suffix.lower() for name in _files(folder) if Path(name).suffix}
