"""A CT series as a stack of slices, and crops of it at a chosen spacing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..files.dicom import read_dicom
from ..sets.folder import visible_files

_TAGS = ["SOPInstanceUID", "SeriesInstanceUID", "PatientID", "Modality", "ImagePositionPatient", "PixelSpacing"]


@dataclass(frozen=True)
class Slice:
    """One file of a series: its SOP instance UID and height z in mm."""

    path: Path
    uid: str
    height: float


@dataclass(frozen=True)
class Series:
    """The slices of a CT series by increasing height; spacing is (column, row) in mm."""

    uid: str
    patient_id: str
    spacing: tuple[float, float]
    slices: tuple[Slice, ...]

    @property
    def heights(self) -> dict[str, float]:
        """SOP instance UID -> height."""
        return {item.uid: item.height for item in self.slices}

    def plane(self, index: int) -> np.ndarray:
        """Slice `index` in HU, (rows, columns)."""
        return read_dicom(self.slices[index].path).values[0]


def series_folders(root: Path) -> dict[str, Path]:
    """Series instance UID -> folder, for the folders below root that hold a CT series; reads one header per folder."""
    first: dict[Path, Path] = {}
    for file in visible_files(root):
        if file.suffix.lower() == ".dcm":
            first.setdefault(file.parent, file)
    headers = {folder: _header(file) for folder, file in first.items()}
    return {
        str(header.SeriesInstanceUID): folder for folder, header in headers.items() if header.get("Modality") == "CT"
    }


def read_series(folder: Path, uid: str) -> Series:
    """A series in a folder, from the headers of its files."""
    headers = [(file, _header(file)) for file in sorted(folder.iterdir()) if file.suffix.lower() == ".dcm"]
    headers = [(file, header) for file, header in headers if header.SeriesInstanceUID == uid]
    slices = [
        Slice(file, str(header.SOPInstanceUID), float(header.ImagePositionPatient[2]))
        for file, header in headers
        if header.get("ImagePositionPatient") is not None
    ]
    header = headers[0][1]
    row, column = (float(value) for value in header.PixelSpacing)  # the standard gives the row spacing first
    slices.sort(key=lambda item: item.height)
    return Series(uid, str(header.PatientID), (column, row), tuple(slices))


def _header(file: Path) -> Any:
    from pydicom import dcmread

    return dcmread(file, stop_before_pixels=True, specific_tags=_TAGS)


def crop_plane(
    plane: np.ndarray, center: tuple[float, float], spacing: tuple[float, float], size: int, step: float, outside: float
) -> np.ndarray:
    """A square of size x size samples, `step` mm apart, around center (column, row in pixels), bilinear."""
    from scipy.ndimage import map_coordinates

    offsets = (np.arange(size) - (size - 1) / 2) * step
    rows, columns = center[1] + offsets / spacing[1], center[0] + offsets / spacing[0]
    grid = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(map_coordinates(plane.astype(np.float32), grid, order=1, mode="constant", cval=outside))


def crop_volume(
    series: Series,
    center: tuple[float, float, float],
    size: int,
    step: float,
    outside: float,
    planes_of: Callable[[int], np.ndarray] | None = None,
) -> np.ndarray:
    """A cube of samples `step` mm apart around center (column, row in pixels, height in mm), (depth, rows, columns).

    planes_of gives other values of slice `index` than its HU, such as a mask.
    """
    heights = center[2] + (np.arange(size) - (size - 1) / 2) * step
    known = np.array([item.height for item in series.slices])
    places = np.interp(heights, known, np.arange(len(known)), left=-1, right=-1)
    cube = np.full((size, size, size), outside, dtype=np.float32)
    planes: dict[int, np.ndarray] = {}

    def plane(index: int) -> np.ndarray:
        if index not in planes:
            values = (planes_of or series.plane)(index)
            planes[index] = crop_plane(values, center[:2], series.spacing, size, step, outside)
        return planes[index]

    for depth, place in enumerate(places):
        if place >= 0:
            below, above = int(np.floor(place)), int(np.ceil(place))
            cube[depth] = plane(below) + (place - below) * (plane(above) - plane(below))
    return cube


def votes(outlines: Sequence[Sequence[tuple[np.ndarray, bool]]], shape: tuple[int, int]) -> np.ndarray:
    """How many of the readers include a pixel, (rows, columns); the outline itself is outside, as LIDC defines it."""
    from PIL import Image, ImageDraw

    total = np.zeros(shape, dtype=np.int32)
    for reader in outlines:
        mask = Image.new("L", (shape[1], shape[0]))
        draw = ImageDraw.Draw(mask)
        for points, inside in sorted(reader, key=lambda item: not item[1]):  # holes last
            draw.polygon([tuple(point) for point in points.tolist()], fill=int(inside), outline=0)
        total += np.asarray(mask)
    return total
