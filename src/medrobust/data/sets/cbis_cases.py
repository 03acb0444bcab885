"""The case tables of CBIS-DDSM and the DICOM files that they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from ...errors import UserError
from ..images.tables import metadata, read_table
from .folder import visible_files

_LABELS = {"MALIGNANT": "malignant", "BENIGN": "benign", "BENIGN_WITHOUT_CALLBACK": "benign"}
_COLUMNS = ("patient_id", "left or right breast", "image view", "abnormality id", "pathology", "image file path")
_PATHS = {"full": "image file path", "crop": "cropped image file path", "mask": "ROI mask file path"}
Role = Literal["full", "crop", "mask"]


@dataclass(frozen=True)
class Case:
    """One abnormality in one view: a row of a case table."""

    name: str
    kind: str
    patient_id: str
    label: str
    split: str
    paths: Mapping[str, str]
    metadata: Mapping[str, str | float]


def read_cases(root: Path) -> list[Case]:
    """All rows of {mass,calc}_case_description_{train,test}_set.csv below a folder.

    Errors: UserError when there is no such table, a column is missing or a pathology is unknown.
    """
    tables = [file for file in visible_files(root) if file.suffix.lower() == ".csv" and "case_description" in file.name]
    if not tables:
        fix = "put the case description tables beside the images, or give a prepared folder"
        raise UserError(str(root), "no lesions.csv and no *_case_description_*.csv in it", fix)
    return [_case(table, row) for table in tables for row in read_table(table, _COLUMNS)]


def _case(table: Path, row: dict[str, str]) -> Case:
    kind = "mass" if table.name.startswith("mass") else "calc"
    if row["pathology"] not in _LABELS:
        place = f"{table} line {row['']}"
        raise UserError(place, f"unknown pathology {row['pathology']!r}", f"valid: {', '.join(_LABELS)}")
    paths = {role: row.get(column, "").strip().replace("\\", "/") for role, column in _PATHS.items()}
    facts = {key.replace(" ", "_"): value for key, value in row.items()}
    used = ("patient_id", "abnormality_type", *(column.replace(" ", "_") for column in _PATHS.values()))
    view = f"{row['left or right breast']}_{row['image view']}_{row['abnormality id']}"
    return Case(
        name=f"{kind}_{row['patient_id']}_{view}",
        kind=kind,
        patient_id=row["patient_id"],
        label=_LABELS[row["pathology"]],
        split="train" if "train" in table.name else "test",
        paths=paths,
        metadata=metadata(facts, used) | {"abnormality_type": kind},
    )


def resolve(root: Path, case: Case, role: Role) -> Path:
    """The file that a case table means.

    The tables name files that the download has renamed, and exchange mask and crop for many cases (a known fault of the
    source). The download keeps their first path component, Mass-Training_P_00001_LEFT_CC_1. Of the two files below it
    the mask is as large as the mammogram and the crop is smaller, whatever they are called.

    Returns the path that the table names when nothing is found, so that the file is reported as missing.
    """
    named = root / case.paths[role]
    folder = _folders(root).get(case.paths[role].split("/")[0])
    files = [file for file in visible_files(folder) if file.suffix.lower() == ".dcm"] if folder else []
    if not files:
        return named
    if role == "full":
        return named if named.is_file() else files[0]
    if len(files) > 1:
        return (min if role == "crop" else max)(files, key=_area)
    return files[0] if role in _description(files[0]) else named


@lru_cache(maxsize=4)
def _folders(root: Path) -> dict[str, Path]:
    """Folder name -> folder, for the case folders below root."""
    cases = [path for pattern in ("Mass-*", "Calc-*") for path in root.rglob(pattern) if path.is_dir()]
    return {path.name: path for path in cases}


def _description(file: Path) -> str:
    """The description of a file's series in lower case: "cropped images" or "roi mask images"."""
    return str(_header(file).get("SeriesDescription") or "").lower()


def _area(file: Path) -> int:
    header = _header(file)
    return int(header.get("Rows") or 0) * int(header.get("Columns") or 0)


@lru_cache(maxsize=20000)
def _header(file: Path) -> Any:
    from pydicom import dcmread

    return dcmread(file, stop_before_pixels=True, specific_tags=["SeriesDescription", "Rows", "Columns"])
