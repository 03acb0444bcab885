"""Kermany's retinal OCT."""

from __future__ import annotations

import re
from pathlib import Path

from ..images.card import DatasetCard
from ..images.image_set import ImageSet
from .folder import class_samples, require_folder

CARD = DatasetCard(
    name="kermany_oct",
    title="Retinal optical coherence tomography, 84,495 images (version 2) or 109,309 (version 3), 4 classes",
    paper="Kermany et al. 2018, Identifying medical diagnoses and treatable diseases, doi:10.1016/j.cell.2018.02.010",
    license="CC BY 4.0",
    classes=("CNV", "DME", "DRUSEN", "NORMAL"),
    positive_class=None,
    group="patient number in the file name, DISEASE-PATIENT-IMAGE.jpeg",
    layout="OCT2017/{train,test[,val]}/{CNV,DME,DRUSEN,NORMAL}/CLASS-PATIENT-IMAGE.jpeg, or CellData/OCT/",
)

_PATIENT = re.compile(r"^[A-Z]+-(\d+)-\d+")


def group_of(relative: Path) -> str | None:
    """Patient in the file name, the same in all classes.

    Example:
        >>> group_of(Path("train/CNV/CNV-1016042-17.jpeg"))
        '1016042'
    """
    match = _PATIENT.match(relative.name)
    return match.group(1) if match else None


def open_kermany_oct(path: str) -> ImageSet:
    """Open the folder with train and test. Errors: UserError when the folder or a class is missing."""
    root = require_folder(path, CARD.name)
    root = next((root / name for name in ("OCT2017", "CellData/OCT", "OCT") if (root / name).is_dir()), root)
    classes, samples = class_samples(root, classes=CARD.classes, group=group_of)
    return ImageSet(CARD.name, classes, samples, card=CARD)
