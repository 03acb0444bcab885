"""Kermany's pediatric chest X-rays, normal against pneumonia."""

from __future__ import annotations

import re
from pathlib import Path

from ..images.card import DatasetCard
from ..images.image_set import ImageSet
from .folder import class_samples, require_folder

CARD = DatasetCard(
    name="chest_xray",
    title="Pediatric chest X-ray, 5,856 images: NORMAL 1583, PNEUMONIA 4273",
    paper="Kermany et al. 2018, Identifying medical diagnoses and treatable diseases, doi:10.1016/j.cell.2018.02.010",
    license="CC BY 4.0",
    classes=("NORMAL", "PNEUMONIA"),
    positive_class="PNEUMONIA",
    group="personN or IM-N in the file name",
    layout="chest_xray/{train,test[,val]}/{NORMAL,PNEUMONIA}/{IM-N-N,NORMAL2-IM-N-N,personN_{bacteria,virus}_N}.jpeg",
)

_GROUP = re.compile(r"^(person\d+|(?:NORMAL\d*-)?IM-\d+)")


def group_of(relative: Path) -> str | None:
    """Patient in the file name.

    Example:
        >>> group_of(Path("train/PNEUMONIA/person63_bacteria_306.jpeg"))
        'person63'
        >>> group_of(Path("test/NORMAL/NORMAL2-IM-0059-0001.jpeg"))
        'NORMAL2-IM-0059'
    """
    match = _GROUP.match(relative.name)
    return match.group(1) if match else None


def open_chest_xray(path: str) -> ImageSet:
    """Open the folder with train and test. Errors: UserError when the folder or a class is missing."""
    root = require_folder(path, CARD.name)
    inner = root / "chest_xray"
    root = inner if inner.is_dir() else root
    classes, samples = class_samples(root, classes=CARD.classes, group=group_of)
    return ImageSet(CARD.name, classes, samples, card=CARD)
