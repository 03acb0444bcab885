"""LIDC-IDRI lung nodules, one crop per nodule, as `medrobust data prepare lidc` writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import UserError
from ..files.pixels import Pixels
from ..images.card import DatasetCard
from ..images.image_set import ImageSet, read_sample
from ..images.sample import Sample
from ..images.tables import metadata, read_table, unique_samples
from .folder import require_folder, visible_files
from .mask_files import MaskFiles

CARD = DatasetCard(
    name="lidc",
    title="Lung nodules in CT, one crop per nodule; benign: mean rating below 3 of 5, malignant: above 3",
    paper="Armato et al. 2011, The Lung Image Database Consortium, doi:10.1118/1.3528204",
    license="CC BY 3.0",
    classes=("benign", "malignant"),
    positive_class="malignant",
    group="patient_id",
    layout="nodules.csv (image, label, patient_id, malignancy, diameter_mm, ...), images/ and masks/",
)


def open_crops(root: Path, table: Path, card: DatasetCard) -> ImageSet:
    """Crops listed in a table with image, label and patient_id, the source range of their values and masks, if known.

    Errors: UserError for a missing table or column, an unknown label, a repeated image.
    """
    samples = []
    for row in read_table(table, ("image", "label", "patient_id")):
        if row["label"] not in card.classes:
            place = f"{table} line {row['']}"
            raise UserError(place, f"unknown label {row['label']!r}", f"valid: {', '.join(card.classes)}")
        extra = metadata(row, ("image", "label", "patient_id", "split"))
        label = card.classes.index(row["label"])
        sample = Sample(row["image"], root / row["image"], label, row["patient_id"], row.get("split", ""), extra)
        samples.append(sample)
    kept = tuple(unique_samples(samples, str(table)))
    masks = MaskFiles.beside(root, kept, visible_files)
    return ImageSet(card.name, card.classes, kept, card=card, decode=decode_crop, masks=masks)


def decode_crop(sample: Sample) -> Pixels:
    """A crop in its source unit: PNG codes run from the columns source_low to source_high of its row."""
    pixels = read_sample(sample)
    low, high = sample.metadata.get("source_low"), sample.metadata.get("source_high")
    if not isinstance(low, float) or not isinstance(high, float) or pixels.high is None or pixels.unit != "grey level":
        return pixels
    step = (high - low) / pixels.high
    values = low + pixels.values.astype(np.float32) * step
    return Pixels(values, pixels.bits, low, high, str(sample.metadata.get("source_unit", "value")), step, low)


def open_lidc(path: str) -> ImageSet:
    """Open prepared nodule crops. Errors: UserError, which tells how to prepare the download from TCIA."""
    root = require_folder(path, CARD.name)
    if not (root / "nodules.csv").exists():
        raw = any(file.suffix.lower() in (".dcm", ".xml") for file in visible_files(root))
        problem = "is the download from TCIA" if raw else "no nodules.csv in it"
        raise UserError(
            str(root), problem, f"run medrobust data prepare lidc {path if raw else 'DICOM_FOLDER'} OUT first"
        )
    return open_crops(root, root / "nodules.csv", CARD)
