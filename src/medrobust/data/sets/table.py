"""csv:FILE, a table with the columns image, label and, if known, group, split, frame and metadata."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ...errors import UserError
from ..files.volumes import WHOLE
from ..images.card import DatasetCard
from ..images.image_set import ImageSet
from ..images.sample import Sample
from ..images.tables import class_order, metadata, read_table, unique_samples
from .folder import SPLIT_FOLDERS

CARD = DatasetCard(
    name="csv",
    title="Your images, listed in a table",
    group="the column group, else the image",
    layout="a CSV with a header: image (path relative to the CSV), label [, group] [, split] [, frame] [, more ...]",
)


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
        row["label"] for row in rows if row["label"]
    )
    if len(names) < 2:
        raise UserError(str(table), f"only one class, {', '.join(names)!r}", "a classifier needs two or more")
    splits = any(row.get("split") for row in rows)
    outside = [row["image"] for row in rows if Path(row["image"]).is_absolute()]
    root = Path(os.path.commonpath([Path(image).parent for image in outside])) if outside else table.parent
    samples = [_sample(table, root, row, names, splits) for row in rows]
    return ImageSet(table.stem, names, unique_samples(samples, str(table)), card=CARD)


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
    frame = row.get("frame", "")
    if frame and not frame.isdecimal():
        raise UserError(place, f"frame {frame!r} is not a whole number from 0")
    image = Path(row["image"])
    # records never name the user's machine: absolute paths are cut to what they do not share
    image_id = image.relative_to(root).as_posix() if image.is_absolute() else image.as_posix()
    group_id = row.get("group") or image_id
    image_id += f"#{int(frame)}" if frame else ""
    extra = metadata(row, ("image", "label", "group", "split", "frame"))
    number_of_frame = int(frame) if frame else WHOLE
    label = names.index(row["label"])
    return Sample(image_id, table.parent / image, label, group_id, split, extra, number_of_frame)
