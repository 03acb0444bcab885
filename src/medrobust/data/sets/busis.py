"""BUSIS, the benchmark for breast ultrasound segmentation, with its tumor types."""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import UserError
from ..files.spreadsheet import read_spreadsheet
from ..images.card import DatasetCard
from ..images.image_set import ImageSet
from ..images.sample import Sample
from ..images.tables import metadata, read_table
from .folder import class_samples, require_folder, visible_files
from .image_index import PICTURES
from .mask_files import MaskFiles

CARD = DatasetCard(
    name="busis",
    title="Breast ultrasound from five scanners, 562 images: benign 306, malignant 256",
    paper="Zhang et al. 2022, BUSIS: a benchmark for breast ultrasound segmentation, doi:10.3390/healthcare10040729",
    license="research use by agreement with the owners",
    classes=("benign", "malignant"),
    positive_class="malignant",
    group="",
    layout="{Original or imgs}/case*.{bmp,png}, GT/, BUSIS.xlsx or BUSIS.csv with the columns 'img name' and "
    "'tumor type' (B or M); or {benign,malignant}/ folders",
)

_NUMBER = re.compile(r"(\d+)")
_TYPES = {"b": 0, "benign": 0, "m": 1, "malignant": 1}


def open_busis(path: str) -> ImageSet:
    """Open BUSIS; case1 of the table is case001 of the images. The source names no patients.

    Errors: UserError when the folder, the table, a column or the images are missing, or a tumor type is unknown.
    """
    root = require_folder(path, CARD.name)
    root = root / "BUSIS" if (root / "BUSIS").is_dir() else root
    if (root / "benign").is_dir():
        classes, samples = class_samples(root, classes=CARD.classes, keep=lambda file: not _mask(file))
        return ImageSet(CARD.name, classes, samples, card=CARD, masks=MaskFiles.beside(root, samples, visible_files))
    table = next((root / name for name in ("BUSIS.xlsx", "BUSIS.csv") if (root / name).exists()), None)
    if table is None:
        raise UserError(
            str(root), "no BUSIS.xlsx or BUSIS.csv in it", "its columns 'img name' and 'tumor type' give the labels"
        )
    rows = read_spreadsheet(table) if table.suffix == ".xlsx" else read_table(table, ())
    for column in ("img name", "tumor type"):
        if column not in rows[0]:
            raise UserError(str(table), f"no column {column!r}")
    folder = next((root / name for name in ("Original", "imgs") if (root / name).is_dir()), None)
    if folder is None:
        raise UserError(str(root), "no folder Original or imgs in it")
    numbers = {_number(file.stem): file for file in visible_files(folder) if file.suffix.lower() in PICTURES}
    samples = [_sample(root, folder, table, row, numbers) for row in rows]
    return ImageSet(CARD.name, CARD.classes, samples, card=CARD, masks=MaskFiles.beside(root, samples, visible_files))


def _sample(root: Path, folder: Path, table: Path, row: dict[str, str], numbers: dict[int, Path]) -> Sample:
    place, kind = f"{table} line {row['']}", row["tumor type"].strip().lower()
    if kind not in _TYPES:
        raise UserError(place, f"unknown tumor type {row['tumor type']!r}", "valid: B, M")
    file = numbers.get(_number(row["img name"]), folder / f"{row['img name']}.bmp")
    image_id = file.relative_to(root).as_posix()
    return Sample(image_id, file, _TYPES[kind], image_id, "", metadata(row, ("img name", "tumor type")))


def _number(name: str) -> int:
    match = _NUMBER.search(name)
    if match is None:
        raise UserError("busis", f"no case number in {name!r}")
    return int(match.group(1))


def _mask(file: Path) -> bool:
    return bool(re.search(r"_(mask|gt)", file.stem, re.IGNORECASE))
