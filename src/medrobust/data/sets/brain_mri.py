"""Brain tumor MRI in Training and Testing class folders."""

from __future__ import annotations

import dataclasses

from ...errors import UserError
from ..images.card import DatasetCard
from ..images.image_set import ImageSet
from .folder import class_samples, require_folder, split_folders

CARD = DatasetCard(
    name="brain_mri",
    title="Brain MRI, glioma, meningioma, pituitary tumor or none, 7,023 images (3,264 in the older release)",
    paper="Nickparvar 2021, Brain Tumor MRI Dataset, doi:10.34740/kaggle/dsv/2645886",
    license="CC0 1.0",
    classes=("glioma", "meningioma", "notumor", "pituitary"),
    positive_class=None,
    group="",
    layout="{Training,Testing}/{glioma,meningioma,notumor,pituitary}/*.jpg, or the older *_tumor folder names",
)


def open_brain_mri(path: str) -> ImageSet:
    """Open Training and Testing; the classes are the folder names. The source names no patients.

    Errors: UserError when the folder, Training or Testing, or the classes are missing.
    """
    root = require_folder(path, CARD.name)
    if set(split_folders(root)) != {"train", "test"}:
        raise UserError(str(root), "no folders Training and Testing in it")
    classes, samples = class_samples(root)
    return ImageSet(CARD.name, classes, samples, card=dataclasses.replace(CARD, classes=classes))
