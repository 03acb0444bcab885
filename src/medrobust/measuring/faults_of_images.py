"""Everyday faults measured: every image at every corruption and severity, and the worst case of each family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..corruptions import Corruption, draws_of, psnr, ssim
from ..corruptions.base import DRAWS
from ..corruptions.family import SEARCHED
from ..data.images.image_set import ImageSet
from ..files import read_json, write_json
from ..models.classifier import Classifier
from ..progress import Report
from ..records.intervals import Grouping
from ..records.rows import CLEAN, meta_types, rows_table, write_table
from .plan import Plan
from .verify import exact_float32

FILE, ROWS, SCHEMA = "corruptions.json", "corruptions.parquet", "medrobust.corruptions/1"
NORM = "corruption"  # in the column `norm` of the rows; their epsilon is the severity
WORST = "worst_"  # before the name of a family
SEVERITIES = (1.0, 2.0, 3.0, 4.0, 5.0)


class _Cell(NamedTuple):
    """All images at one corruption and severity: answers, scores, size of the change, PSNR, SSIM, forwards."""

    prediction: np.ndarray
    scores: np.ndarray
    distance: np.ndarray
    psnr: np.ndarray
    ssim: np.ndarray
    forwards: np.ndarray


class _Worst(NamedTuple):
    """Of each image the least severity that is known to mislead, its answer there, and the forwards so far."""

    least: np.ndarray
    cell: _Cell | None
    forwards: np.ndarray

    @staticmethod
    def start(clean: np.ndarray, labels: np.ndarray) -> _Worst:
        return _Worst(np.where(clean == labels, np.inf, 0.0), None, np.zeros(len(labels), dtype=np.int64))

    def after(self, cell: _Cell, severity: float, labels: np.ndarray) -> _Worst:
        """With what one more corruption of the family does."""
        better = (cell.prediction != labels) & (severity < self.least)
        kept = cell if self.cell is None else _mixed(better, cell, self.cell)
        return _Worst(np.where(better, severity, self.least), kept, self.forwards + cell.forwards)

    def at(self, severity: float, untouched: _Cell) -> tuple[_Cell, np.ndarray]:
        """The answers at a severity, those to the untouched images where nothing misleads, and which are lost."""
        lost = self.least <= severity
        changed = lost & (self.least > 0)
        cell = untouched if self.cell is None else _mixed(changed, self.cell, untouched)
        return cell._replace(forwards=self.forwards if severity == SEVERITIES[-1] else 0 * self.forwards), lost


def _mixed(condition: np.ndarray, yes: _Cell, no: _Cell) -> _Cell:
    """Per image, yes where the condition holds."""
    columns = zip(yes, no, strict=True)
    return _Cell(*(np.where(condition.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in columns))


def measure_faults(
    model: Classifier,
    images: ImageSet,
    plan: Plan,
    corruptions: Sequence[Corruption],
    folder: Path | None = None,
    report: Report | None = None,
) -> dict[str, Any]:
    """What audit.json says of corruptions.

    A worst case is a search like that of an attack: an image counts as lost at a severity when any corruption of the
    family misleads the classifier at that severity or below, at any of the severities and draws that are tried. The
    draw of the corruption itself is the first of them, so that a worst case is never above a member of its family.

    Args:
        model, images: of the audit.
        plan: for device and batch size.
        corruptions: which.
        folder: where corruptions.parquet (one row per image, corruption and severity, and worst case) and
            corruptions.json are written. What is there already is not measured again.
        report: called with (what, done, of).
    """
    if folder is not None and (folder / FILE).exists():
        known = read_json(folder / FILE)
        if known.get("schema") == SCHEMA:
            return dict(known)
    labels = images.labels.numpy()
    grouping = Grouping(np.array(images.groups))
    untouched = _answers(model, images, plan, None, 0.0, 0)
    clean = untouched.prediction
    families = list(dict.fromkeys(one.family for one in corruptions))
    worst = {family: _Worst.start(clean, labels) for family in families}
    rows, cells = [_row(images, clean, CLEAN, 0.0, untouched, i) | {"norm": ""} for i in range(len(images))], []
    jobs = [(one, s, n) for one in corruptions for s in SEARCHED for n in range(one.num_draws)]
    for done, (one, severity, number) in enumerate(jobs, start=1):
        cell = _answers(model, images, plan, one, severity, number)
        worst[one.family] = worst[one.family].after(cell, severity, labels)
        if number == 0 and severity in SEVERITIES:
            rows += [_row(images, clean, one.name, severity, cell, i) for i in range(len(images))]
            right = grouping.mean(cell.prediction == labels)
            cells.append(_summary(one, severity, cell, right.as_dict()))
        if report:
            report("corruptions", done, len(jobs))
    lost = []
    for family in families:
        for severity in SEVERITIES:
            cell, wrong = worst[family].at(severity, untouched)
            lost.append({"family": family, "severity": severity, "accuracy": grouping.mean(~wrong).as_dict()})
            rows += [_row(images, clean, WORST + family, severity, cell, i) for i in range(len(images))]
    content = {
        "schema": SCHEMA,
        "names": [one.name for one in corruptions],
        "draws": DRAWS,
        "searched": list(SEARCHED),
        "words": f"the worst of {DRAWS} draws at each half of a severity up to the one named, over the whole family",
        "clean": grouping.mean(clean == labels).as_dict(),
        "rows": cells,
        "worst": lost,
    }
    if folder is not None:
        meta = meta_types(sample.metadata for sample in images.samples)
        write_table(folder / ROWS, rows_table(rows, meta, plan.protocol))
        write_json(folder / FILE, content)
    return content


def _answers(
    model: Classifier, images: ImageSet, plan: Plan, one: Corruption | None, severity: float, number: int
) -> _Cell:
    """The classifier's answers; draw 0 is the corruption's own, the others are those of the worst case."""
    parts = list(_batches(model, images, plan, one, severity, number))
    return _Cell(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _batches(
    model: Classifier, images: ImageSet, plan: Plan, one: Corruption | None, severity: float, number: int
) -> Iterator[_Cell]:
    domain = plan.grids[0].domain
    for begin in range(0, len(images), plan.batch_size):
        at = range(begin, min(begin + plan.batch_size, len(images)))
        x = torch.stack([images[i][0] for i in at]).to(plan.device)
        changed = x if one is None else one(x, severity, draws_of(x), domain, number)
        with torch.no_grad(), exact_float32():
            logits = model(changed).float()
        low, high = domain
        yield _cell(logits, (x - low) / (high - low), (changed - low) / (high - low), number)


def _cell(logits: Tensor, x: Tensor, changed: Tensor, number: int) -> _Cell:
    size = (x.double() - changed.double()).flatten(1).norm(dim=1)
    seen = ssim(x, changed) if number == 0 and x.ndim > 3 else torch.full_like(size, torch.nan)
    columns = (logits.argmax(1), logits.softmax(1), size, psnr(x, changed), seen, torch.ones_like(size).long())
    return _Cell(*(column.cpu().numpy() for column in columns))


def _summary(one: Corruption, severity: float, cell: _Cell, accuracy: dict[str, Any]) -> dict[str, Any]:
    """A cell for audit.json. Its PSNR is that of the mean square over all images, which is always finite or null."""
    square = float(np.mean(10 ** (-cell.psnr / 10)))
    return {
        "corruption": one.name,
        "family": one.family,
        "severity": severity,
        "parameter": round(one.parameter(severity), 6),
        "unit": one.unit,
        "accuracy": accuracy,
        "psnr": round(-10 * np.log10(square), 3) if square > 0 else None,
        "ssim": round(float(np.mean(cell.ssim)), 5),
        "equal_epsilon": round(square**0.5, 8),
    }


def _row(images: ImageSet, clean: np.ndarray, name: str, severity: float, cell: _Cell, i: int) -> dict[str, Any]:
    """One row for the records: reached is a wrong answer, distance the Euclidean size of the change."""
    sample = images.samples[i]
    return {
        "image_id": sample.image_id,
        "group_id": sample.group_id,
        "label": sample.label,
        "clean_prediction": int(clean[i]),
        "attack": name,
        "norm": NORM,
        "epsilon": severity,
        "goal": "",
        "reached": bool(cell.prediction[i] != sample.label),
        "prediction": int(cell.prediction[i]),
        "scores": cell.scores[i],
        "distance": float(cell.distance[i]),
        "forwards": int(cell.forwards[i]),
        "backwards": 0,
        "survives_source_bit_depth": False,
    } | {f"meta_{name}": value for name, value in sample.metadata.items()}
