"""One image of a set, before it is decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """Where an image is and what is known about it.

    Args:
        image_id: path relative to the data root, with forward slashes: unique, stable, never absolute.
        path: the file, None for images that are made in memory.
        label: position in the classes of the set.
        group_id: patient or lesion; the image_id when the source names none.
        split: "train", "val", "test", or "" when the source has no splits.
        metadata: further columns of the source (age, sex, site ...).
        frame: frame of a multi-frame file, row of an array file, plane of a volume; -1 (WHOLE) for the whole file.
    """

    image_id: str
    path: Path | None
    label: int
    group_id: str
    split: str = ""
    metadata: dict[str, str | float] = field(default_factory=dict)
    frame: int = -1
