"""Nodule crops and their masks from the TCIA download of LIDC-IDRI: CT slices in DICOM, outlines, ratings in XML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from ...errors import UserError
from ..images.store import Progress
from ..images.tables import write_table
from ..sets.folder import require_folder, visible_files
from .ct_series import Series, crop_plane, crop_volume, read_series, series_folders, votes
from .lidc_xml import Extent, Reading, extent, read_annotations, same_nodule
from .output import begin, write_png, write_volume

LUNG_WINDOW = (-600.0, 1500.0)  # center and width in HU


def prepare_lidc(
    source: Path | str,
    out: Path | str,
    *,
    mode: str = "slice",
    size: int | None = None,
    spacing: float | None = None,
    window: tuple[float, float] = LUNG_WINDOW,
    bits: int = 8,
    min_readers: int = 1,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Write one crop per nodule with its consensus malignancy and the mask of the nodule, for `lidc:OUT`.

    The mean rating of the readers decides: below 3 benign, above 3 malignant, 3 is left out. The slice is the one where
    at least half of the readers outline the largest area; the crop is centered on that area and resampled bilinearly.
    A pixel belongs to the mask, masks/NAME beside images/NAME, where at least half of the readers include it.

    Args:
        source: the download, LIDC-IDRI-NNNN/STUDY/SERIES/*.dcm with the XML anywhere below.
        out: an empty folder, or one that a broken-off run with the same options left.
        mode: "slice" writes a PNG of the window, "volume" a .npz cube in HU.
        size: side in samples, 128 for a slice and 64 for a volume.
        spacing: mm between samples, 0.5 for a slice and 1.0 for a volume.
        window: center and width in HU that black and white stand for.
        bits: 8 or 16, of the PNG.
        min_readers: nodules outlined by fewer readers are left out.
        progress: called with (series done, series in all).

    Returns counts: series, nodules, benign, malignant, indeterminate, few_readers, series_without_images.

    Errors: UserError for a wrong option, a folder without annotations or images, a damaged file.
    """
    root, out = require_folder(str(source), "source"), Path(out)
    if mode not in ("slice", "volume"):
        raise UserError("mode", f"unknown mode {mode!r}", "valid: slice, volume")
    if bits not in (8, 16):
        raise UserError("bits", f"{bits} is not a depth of PNG", "valid: 8, 16")
    size = size or (128 if mode == "slice" else 64)
    spacing = spacing or (0.5 if mode == "slice" else 1.0)
    if size < 1 or spacing <= 0 or window[1] <= 0:
        raise UserError("size", "size, spacing and the width of the window must be positive")
    annotated = _annotations(root)
    folders = series_folders(root)
    wanted = sorted(set(annotated) & set(folders), key=lambda uid: (folders[uid].as_posix(), uid))
    if not wanted:
        raise UserError(
            str(root), f"none of the {len(annotated)} annotated CT series is in it", "unpack the DICOM files there"
        )
    options = {"mode": mode, "size": size, "spacing": spacing, "window": list(window), "bits": bits}
    begin(out, {"data_set": "lidc", **options, "min_readers": min_readers})
    counts: Counter[str] = Counter(series_without_images=len(set(annotated) - set(folders)))
    numbers: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    for done, uid in enumerate(wanted, start=1):
        series = read_series(folders[uid], uid)
        counts["series"] += 1
        for readings, extents in _nodules(series, annotated[uid]):
            rating = fmean(reading.malignancy for reading in readings)
            if len(readings) < min_readers or rating == 3:
                counts["few_readers" if len(readings) < min_readers else "indeterminate"] += 1
                continue
            name = f"{series.patient_id}_nodule-{numbers[series.patient_id]}"
            numbers[series.patient_id] += 1
            label = "benign" if rating < 3 else "malignant"
            counts.update(("nodules", label))
            facts = {"malignancy": rating, "num_readers": len(readings)}
            facts["diameter_mm"] = round(fmean(item.diameter for item in extents), 3)
            row = {"label": label, "patient_id": series.patient_id, **facts}
            rows.append(_write(out, name, row, series, readings, extents, options))
        if progress:
            progress(done, len(wanted))
    if not rows:
        raise UserError(str(root), f"no nodule is left: {dict(counts)}", "ask for fewer readers")
    write_table(out / "nodules.csv", rows)
    return dict(counts)


def _annotations(root: Path) -> dict[str, list[Reading]]:
    """Series instance UID -> readings; of a series in two XML files, as the source has one, the first counts."""
    found: dict[str, list[Reading]] = {}
    for file in visible_files(root):
        if file.suffix.lower() == ".xml" and (annotation := read_annotations(file)):
            found.setdefault(annotation[0], list(annotation[1]))
    if not found:
        raise UserError(
            str(root), "no LIDC annotations (*.xml) in it", "put LIDC-XML-only.zip's files beside the images"
        )
    return found


def _nodules(series: Series, readings: Sequence[Reading]) -> Iterator[tuple[list[Reading], list[Extent]]]:
    """The readings of each nodule with where they are."""
    placed = [(reading, extent(reading, series.spacing, series.heights)) for reading in readings]
    kept = [(reading, place) for reading, place in placed if place is not None]
    for members in same_nodule([reading for reading, _ in kept], [place for _, place in kept]):
        yield [kept[i][0] for i in members], [kept[i][1] for i in members]


def _write(
    out: Path,
    name: str,
    row: dict[str, Any],
    series: Series,
    readings: Sequence[Reading],
    extents: Sequence[Extent],
    options: dict[str, Any],
) -> dict[str, Any]:
    """Write the crop of a nodule and its mask unless they are there; returns the row."""
    center, width = options["window"]
    low, high = center - width / 2, center + width / 2
    index, middle = _largest(series, readings)
    file = f"{name}.{'png' if options['mode'] == 'slice' else 'npz'}"
    image, mask = f"images/{file}", out / "masks" / file
    size, step = options["size"], options["spacing"]
    if not mask.exists():
        _write_mask(mask, series, readings, extents, options, index, middle)
    if (out / image).exists():
        pass
    elif options["mode"] == "slice":
        hounsfield = crop_plane(series.plane(index), middle, series.spacing, size, step, low)
        top, dtype = (255, np.uint8) if options["bits"] == 8 else (65535, np.uint16)
        unit = np.clip((hounsfield - low) / (high - low), 0, 1)
        write_png(out / image, np.round(unit * top).astype(dtype))
    else:
        height = fmean(item.center[2] for item in extents)
        cube = crop_volume(series, (*middle, height), size, step, low)
        write_volume(out / image, np.round(cube).astype(np.int16), low, high, 12, "HU")
    place = {"series_uid": series.uid, "slice_uid": series.slices[index].uid, "slice_mm": series.slices[index].height}
    return {"image": image, **row, "source_low": low, "source_high": high, "source_unit": "HU", **place}


def _write_mask(
    path: Path,
    series: Series,
    readings: Sequence[Reading],
    extents: Sequence[Extent],
    options: dict[str, Any],
    index: int,
    middle: tuple[float, float],
) -> None:
    """Write what at least half of the readers outlined, 255 inside, with the samples of the crop."""
    size, step = options["size"], options["spacing"]
    shape = series.plane(index).shape
    if options["mode"] == "slice":
        inside = crop_plane(_consensus(series, readings, shape, index), middle, series.spacing, size, step, 0.0)
        write_png(path, np.where(inside >= 0.5, np.uint8(255), np.uint8(0)))
        return
    height = fmean(item.center[2] for item in extents)

    def plane(number: int) -> np.ndarray:
        return _consensus(series, readings, shape, number)

    cube = crop_volume(series, (*middle, height), size, step, 0.0, plane)
    write_volume(path, np.where(cube >= 0.5, np.uint8(255), np.uint8(0)), 0.0, 255.0, 8, "mask")


def _agreed(area: np.ndarray, num_readers: int) -> np.ndarray:
    """Where at least half of the readers agree; where they nowhere do, what any of them includes."""
    half = 2 * area >= num_readers
    return half if half.any() else area > 0


def _consensus(series: Series, readings: Sequence[Reading], shape: tuple[int, int], index: int) -> np.ndarray:
    """float (rows, columns), 1 where at least half of the readers include a pixel of the slice.

    Where no pixel of a slice has so many, as `_largest` has it, what any of them includes; and the outlines themselves
    where they are too thin to enclose a pixel.
    """
    uid = series.slices[index].uid
    area = votes([reading.outlines.get(uid, ()) for reading in readings], shape)
    agreed = _agreed(area, len(readings))
    if not agreed.any():
        for reading in readings:
            for points, inside in reading.outlines.get(uid, ()):
                columns, rows = np.round(points).astype(int).T
                seen = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
                agreed[rows[seen], columns[seen]] |= inside
    return np.asarray(agreed, dtype=np.float32)


def _largest(series: Series, readings: Sequence[Reading]) -> tuple[int, tuple[float, float]]:
    """The slice with the largest area outlined by at least half of the readers, and the area's middle (column, row)."""
    everything = [points for reading in readings for items in reading.outlines.values() for points, _ in items]
    corner = np.floor(np.min([points.min(axis=0) for points in everything], axis=0)) - 1
    far = np.ceil(np.max([points.max(axis=0) for points in everything], axis=0)) + 2
    shape = (int(far[1] - corner[1]), int(far[0] - corner[0]))
    best, found = 0, (0, (0.0, 0.0))
    for index, item in enumerate(series.slices):
        outlines = [
            [(points - corner, inside) for points, inside in reading.outlines.get(item.uid, ())] for reading in readings
        ]
        if not any(outlines):
            continue
        area = votes(outlines, shape)
        agreed = _agreed(area, len(readings))
        if agreed.sum() > best:
            rows, columns = np.nonzero(agreed)
            best = int(agreed.sum())
            found = index, (float(columns.mean() + corner[0]), float(rows.mean() + corner[1]))
    if best == 0:  # outlines too thin to enclose a pixel: the middle of their points
        index = next(i for i, item in enumerate(series.slices) if any(item.uid in r.outlines for r in readings))
        x, y = np.concatenate(everything).mean(axis=0).tolist()
        return index, (x, y)
    return found
