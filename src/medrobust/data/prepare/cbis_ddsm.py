"""Lesion crops from the TCIA download of CBIS-DDSM: mammograms and region masks in DICOM, cases in CSV."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from ..files.pixels import BrokenImageError, Pixels
from ..files.read import read_pixels
from ..images.store import Progress
from ..images.tables import write_table
from ..images.view import View, to_unit
from ..sets.cbis_cases import Case, read_cases, resolve
from ..sets.folder import require_folder
from .output import begin, write_png


def prepare_cbis_ddsm(
    source: Path | str,
    out: Path | str,
    *,
    context: float = 1.5,
    min_side: int = 64,
    skip_broken: bool = False,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Write one 16-bit crop per abnormality and view, for `cbis_ddsm:OUT`.

    The crop is a square around the middle of the region mask, `context` times as large as the mask's longer side and at
    least min_side pixels, at the resolution of the mammogram; beyond its edge it is black.

    Args:
        source: the download: case description tables and DICOM folders.
        out: an empty folder, or one that a broken-off run with the same options left.
        context: side of the crop over the longer side of the region.
        min_side: smallest side in pixels.
        skip_broken: leave out cases whose files are missing, damaged or have an empty mask, and count them.
        progress: called with (cases done, cases in all).

    Returns counts: lesions, benign, malignant, mass, calc, broken.

    Errors: UserError naming the first missing or damaged file, unless skip_broken.
    """
    root, out = require_folder(str(source), "source"), Path(out)
    if context < 1 or min_side < 1:
        raise UserError("context", f"{context} is below 1 or min_side {min_side} below 1 pixel")
    cases = read_cases(root)
    begin(out, {"data_set": "cbis_ddsm", "context": context, "min_side": min_side})
    counts: Counter[str] = Counter(broken=0)
    rows: list[dict[str, Any]] = []
    for done, case in enumerate(cases, start=1):
        image = f"images/{case.name}.png"
        try:
            if not (out / image).exists():
                write_png(out / image, _crop(root, case, context, min_side))
        except _MissingPartError as error:
            if not skip_broken:
                raise UserError(
                    str(error), f"cannot be used: {error.reason}", "get it again, or go on: --skip-broken"
                ) from error
            counts["broken"] += 1
            continue
        counts.update(("lesions", case.label, case.kind))
        facts = {"label": case.label, "patient_id": case.patient_id, "split": case.split}
        rows.append({"image": image, **facts, **case.metadata})
        if progress:
            progress(done, len(cases))
    if not rows:
        raise UserError(str(root), f"none of the {len(cases)} cases has its files", "unpack the DICOM files there")
    write_table(out / "lesions.csv", rows)
    return dict(counts)


class _MissingPartError(Exception):
    """A file that a crop needs and that cannot be used; str() is its path."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(str(path))
        self.reason = reason


def _read(path: Path) -> Pixels:
    try:
        return read_pixels(path)
    except BrokenImageError as error:
        raise _MissingPartError(path, str(error)) from error


def _crop(root: Path, case: Case, context: float, min_side: int) -> np.ndarray:
    mask_path = resolve(root, case, "mask")
    full, mask = _read(resolve(root, case, "full")), _read(mask_path).values[0]
    values = to_unit(full, View())[0][0].numpy()
    rows, columns = np.nonzero(mask > mask.max() / 2)
    if not len(rows) or mask.max() == 0:
        raise _MissingPartError(mask_path, "the mask is empty")
    # some masks of the source are a little larger or smaller than their mammogram
    scale = values.shape[0] / mask.shape[0], values.shape[1] / mask.shape[1]
    top, bottom = rows.min() * scale[0], (rows.max() + 1) * scale[0]
    left, right = columns.min() * scale[1], (columns.max() + 1) * scale[1]
    side = max(min_side, round(context * max(bottom - top, right - left)))
    y, x = round((top + bottom - side) / 2), round((left + right - side) / 2)
    crop = np.zeros((side, side), dtype=np.float64)
    inside = values[max(y, 0) : y + side, max(x, 0) : x + side]
    crop[max(-y, 0) : max(-y, 0) + inside.shape[0], max(-x, 0) : max(-x, 0) + inside.shape[1]] = inside
    return np.round(crop * 65535).astype(np.uint16)
