"""The ISIC challenges from 2016 to 2024, dermoscopy, in the layouts of their CSV files."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from ...errors import UserError
from ..images.card import DatasetCard
from ..images.image_set import ImageSet
from ..images.sample import Sample
from ..images.tables import metadata, read_table, read_text, unique_samples
from .folder import SPLIT_FOLDERS, require_folder, visible_files
from .image_index import index_images, locate

CARD = DatasetCard(
    name="isic",
    title="Dermoscopy of the ISIC challenges 2016 to 2024 (one year per folder)",
    paper="Codella et al. 2018, arXiv:1710.05006 (2017); Codella et al. 2019, arXiv:1902.03368 (2018); "
    "Combalia et al. 2019, arXiv:1908.02288 (2019); Rotemberg et al. 2021, doi:10.1038/s41597-021-00815-z (2020)",
    license="CC-0 to CC BY-NC 4.0, by year",
    positive_class="melanoma",
    group="patient_id, else lesion_id of the metadata or LesionGroupings table, else the image",
    layout="*_{Training,Validation,Test}*GroundTruth.csv (one-hot, target or 2016's two columns) with *_Metadata.csv "
    "or *_LesionGroupings.csv beside it, images anywhere below",
)

_ID = ("image", "image_id", "image_name", "isic_id")
_TARGET = ("target", "malignant", "benign_malignant")
_SPLIT = re.compile(r"(train|training|validation|test)(?![a-z])", re.IGNORECASE)
_WEIGHTS = ("score_weight", "validation_weight")  # columns of the 2019 test table
_POSITIVE = ("melanoma", "MEL", "malignant")


def open_isic(path: str) -> ImageSet:
    """Open one year of the ISIC challenge.

    Classes are the columns of a one-hot table that occur (nevus for the rows of 2017 without a 1), or benign and
    malignant.

    Errors: UserError for missing tables or images, several classes in a row, tables whose classes differ.
    """
    root = require_folder(path, CARD.name)
    files = [file for file in visible_files(root) if file.suffix.lower() == ".csv"]
    truths = [file for file in files if "groundtruth" in file.name.lower() or file.name in ("train.csv", "test.csv")]
    if not truths:
        raise UserError(str(root), "no *GroundTruth*.csv in it", "put the challenge's label tables beside the images")
    extra = _side_tables([file for file in files if file not in truths])
    images = index_images(root, keep=lambda file: not re.search(r"_(segmentation|superpixels|attribute)", file.stem))
    labeled = [(table, row, name) for table in truths for row, name in _labeled(table)]
    if not labeled:
        raise UserError(str(root), "the label tables have no diagnosis", "the test tables of some years are secret")
    found = {name for _, _, name in labeled}
    if {"benign", "malignant"} & found and len(found) > 2:
        raise UserError(str(root), "label tables of different years in one folder", "keep one year per folder")
    classes = tuple(sorted(found))
    if len(classes) < 2:
        raise UserError(str(root), f"only one class, {classes[0]!r}", "a classifier needs two or more")
    paths = locate((_id(row) for _, row, _ in labeled), images, root, truths[0])
    samples = [
        _sample(root, paths[_id(row)], classes.index(name), row | extra.get(_id(row), {}), _split(table))
        for table, row, name in labeled
    ]
    card = dataclasses.replace(CARD, classes=classes, positive_class=_positive(classes))
    return ImageSet(CARD.name, classes, unique_samples(samples, str(root)), card=card)


def _positive(classes: tuple[str, ...]) -> str | None:
    return next((name for name in _POSITIVE if name in classes), None)


def _sample(root: Path, file: Path, label: int, row: dict[str, str], split: str) -> Sample:
    image_id = file.relative_to(root).as_posix()
    group = row.get("patient_id") or row.get("lesion_id") or image_id
    return Sample(image_id, file, label, group, split, metadata(row, (*_ID, *_TARGET, "patient_id")))


def _id(row: dict[str, str]) -> str:
    return next(row[key] for key in _ID if row.get(key)).removesuffix(".jpg")


def _split(table: Path) -> str:
    match = _SPLIT.search(table.stem)
    return SPLIT_FOLDERS[match.group(1).lower()] if match else ""


def _labeled(table: Path) -> list[tuple[dict[str, str], str]]:
    """The rows of a label table, each with its class."""
    text = read_text(table)
    first = text.split("\n", 1)[0].strip().split(",")
    if len(first) == 2 and re.match(r"ISIC_\d+$", first[0]):  # 2016 has no header, and 0.0 and 1.0 in its test table
        lines = [line.strip().split(",") for line in text.splitlines() if line.strip()]
        return [({"image": line[0]}, _binary(line[1], table)) for line in lines]
    rows = read_table(table, ())
    columns = [column for column in rows[0] if column]
    if not any(key in columns for key in _ID):
        raise UserError(str(table), f"no column with the image name, {' or '.join(_ID)}")
    target = next((key for key in _TARGET if key in columns), None)
    if target:
        return [(row, _binary(row[target], table)) for row in rows]
    values = ("0", "1", "0.0", "1.0")
    hot = [key for key in columns if key not in (*_ID, *_WEIGHTS) and all(row[key] in values for row in rows)]
    others = [{key: value for key, value in row.items() if key not in hot} for row in rows]
    return [(other, _one_hot(row, hot, table)) for other, row in zip(others, rows, strict=True)] if hot else []


def _binary(word: str, table: Path) -> str:
    names = {
        "0": "benign",
        "0.0": "benign",
        "benign": "benign",
        "1": "malignant",
        "1.0": "malignant",
        "malignant": "malignant",
    }
    if word not in names:
        raise UserError(str(table), f"unknown label {word!r}", "valid: benign, malignant, 0, 1")
    return names[word]


def _one_hot(row: dict[str, str], columns: list[str], table: Path) -> str:
    on = [column for column in columns if float(row[column]) == 1]
    if len(on) == 1:
        return on[0]
    if not on and "seborrheic_keratosis" in columns:  # 2017: the third class has no column
        return "nevus"
    raise UserError(f"{table} line {row['']}", f"{len(on)} diagnoses instead of one: {', '.join(on) or 'none'}")


def _side_tables(tables: list[Path]) -> dict[str, dict[str, str]]:
    """Image name -> metadata columns from the tables that are not labels."""
    extra: dict[str, dict[str, str]] = {}
    for table in tables:
        for row in read_table(table, ()):
            if any(row.get(key) for key in _ID):
                extra.setdefault(_id(row), {}).update({key: value for key, value in row.items() if key})
    return extra
