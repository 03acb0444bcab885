"""Breast Ultrasound Images (BUSI)."""

from __future__ import annotations

import re

from ..images.card import DatasetCard
from ..images.image_set import ImageSet
from .folder import class_samples, require_folder, visible_files
from .mask_files import MaskFiles

CARD = DatasetCard(
    name="busi",
    title="Breast ultrasound, 780 images of 600 women: benign 437, malignant 210, normal 133",
    paper="Al-Dhabyani et al. 2020, Dataset of breast ultrasound images, doi:10.1016/j.dib.2019.104863",
    license="research use with citation",
    classes=("benign", "malignant", "normal"),
    positive_class="malignant",
    group="",
    layout="Dataset_BUSI_with_GT/{benign,malignant,normal}/NAME (k).png beside NAME (k)_mask[_j].png",
)

_MASK = re.compile(r"_mask(_\d+)?$")


def open_busi(path: str) -> ImageSet:
    """Open Dataset_BUSI_with_GT; lesion masks are masks, not images. The source names no patients.

    Errors: UserError when the folder or a class is missing.
    """
    root = require_folder(path, CARD.name)
    inner = root / "Dataset_BUSI_with_GT"
    root = inner if inner.is_dir() else root
    classes, samples = class_samples(root, classes=CARD.classes, keep=lambda file: not _MASK.search(file.stem))
    return ImageSet(CARD.name, classes, samples, card=CARD, masks=MaskFiles.beside(root, samples, visible_files))
