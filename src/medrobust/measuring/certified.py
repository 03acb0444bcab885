"""The certified lower bound beside the attacked upper bound: how far each right answer is proved to hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..data.images.image_set import ImageSet
from ..files import read_json, write_json
from ..models.bounds import Bounds, NoCertificateError
from ..models.classifier import Classifier
from ..progress import Report
from ..records.intervals import Grouping
from ..records.records import Records
from ..records.sensitivity import sensitivity
from .plan import Plan
from .verify import exact_float32

FILE, SCHEMA, METHOD = "certified.json", "medrobust.certified/1", "interval bounds"
FEW = 16  # images that are asked first
HALVINGS = 12  # of the ratio between a certified and an uncertified size, for each image
SECONDS, SHARE = 20.0, 0.1  # it may take so long, or so much of what the attacks took
BATCH = 32
# A bound must exceed what rounding is seen to do to the answers to unchanged images, many times over.
TIMES_ROUNDING, LEAST_SLACK = 10.0, 1e-6
VOID = "interval bounds say nothing of this network at the smallest budget"


class CrossedBoundsError(RuntimeError):
    """A certificate above an attack: one of the two is wrong, which is a fault of medrobust."""


class _Subject(NamedTuple):
    """The images that are right: bounds of the classifier, x (m, ...), labels (m,), slack of the bounds, batch size."""

    bounds: Bounds
    x: Tensor
    labels: Tensor
    slack: float
    batch_size: int

    def holds(self, which: np.ndarray, radii: np.ndarray, norm: str) -> np.ndarray:
        """Whether the answers to the images at these positions are proved to hold within their radii."""
        found = []
        for begin in range(0, len(which), self.batch_size):
            some = torch.from_numpy(which[begin : begin + self.batch_size])
            radius = torch.from_numpy(radii[begin : begin + self.batch_size])
            found.append(self.bounds.margins(self.x[some], self.labels[some], radius, norm) > self.slack)
        return torch.cat(found).numpy() if found else np.zeros(0, dtype=bool)


def certified(
    folder: Path,
    model: Classifier,
    images: ImageSet,
    records: Records,
    plan: Plan,
    seconds: float = 0.0,
    report: Report | None = None,
) -> dict[str, Any]:
    """What audit.json says of certificates; certified.json in the folder also has the radius of each image.

    Args:
        folder: of the run. What certified.json there says is not computed again.
        model, images, records, plan: what was attacked, and the rows.
        seconds: that the attacks took: the bounds give up, in words, rather than take more than a tenth of it or 20 s.
        report: told of the progress.

    Errors: CrossedBoundsError when a certificate reaches an attack.
    """
    path = folder / FILE
    if not path.exists():
        found, radii = certify(model, images, records, plan, max(SECONDS, SHARE * seconds), report)
        write_json(path, {"schema": SCHEMA, "certified": found, "radii": radii})
    return dict(read_json(path)["certified"])


def certify(
    model: Classifier,
    images: ImageSet,
    records: Records,
    plan: Plan,
    limit: float = SECONDS,
    report: Report | None = None,
    clock: Callable[[], float] = perf_counter,
) -> tuple[dict[str, Any], dict[str, dict[str, float | None]]]:
    """The certificates for audit.json, and norm -> image_id -> radius: null where nothing is certified at any budget.

    A radius is at most the largest budget, and at most HALVINGS halvings below what the bounds can certify.

    Args:
        model, images, records, plan: what was attacked, and the rows.
        limit: in seconds.
        report: told of the progress.
        clock: seconds that pass.

    Errors: CrossedBoundsError when a certificate reaches an attack.
    """
    out: dict[str, Any] = {"method": METHOD, "rows": [], "num_images": len(images)}
    radii: dict[str, dict[str, float | None]] = {}
    clean, began, reasons = records.clean, clock(), {}
    right = np.flatnonzero(clean["clean_prediction"] == clean["label"])
    try:
        grids = plan.slopes
        if not grids:
            raise NoCertificateError("bounds are for norms, not for families of corruptions")
        subject = _subject(model, images, right, plan) if len(right) else None
        if subject is None:
            raise NoCertificateError("no image is right")
        subject.holds(np.arange(1), np.zeros(1), grids[0].norm_name)  # what torch loads at first use is not timed
        tried = []
        for _ in range(3):  # the least of three: another program may have come between
            once = clock()
            subject.holds(np.arange(1), np.zeros(1), grids[0].norm_name)
            tried.append(clock() - once)
        each = min(tried)
        for grid in grids:
            norm, wrong = grid.norm_name, sensitivity(records, grid.norm_name).change_wrong[right]
            ids = clean["image_id"][right].tolist()
            watch = _Watch(each, limit - (clock() - began), report)
            found = _radii(subject, grid.epsilons, norm, wrong, ids, watch)
            if isinstance(found, str):
                reasons[norm] = found
                continue
            radii[norm] = dict.fromkeys(clean["image_id"].tolist())
            radii[norm] |= {name: float(r) for name, r in zip(ids, found, strict=True) if r > 0}
            all_radii = np.zeros(len(clean))
            all_radii[right] = found
            for epsilon in grid.epsilons:
                share = Grouping(clean["group_id"]).mean(all_radii >= epsilon)
                if share.value > 0:  # a budget at which nothing is certified has no row: 0 would look like a result
                    row = {"norm": norm, "epsilon": epsilon, "certified_accuracy": share.as_dict()}
                    out["rows"].append(row)
    except NoCertificateError as why:
        reasons = {"": str(why)}
    if out["rows"]:
        out["words"] = _words(list(radii)) + "".join(f" In {norm}: {why}." for norm, why in reasons.items())
    else:
        del out["rows"]
        out["reason"] = "no certificate: " + "; ".join(dict.fromkeys(reasons.values()))
    return out, radii


class _Watch(NamedTuple):
    """Seconds that a forward of bounds takes for one image, seconds that are left, and who is told of the progress."""

    each: float
    left: float
    report: Report | None

    def too_long(self, num_images: int) -> str:
        """Why so many forwards are not made; empty where they are."""
        wanted = self.each * num_images
        return f"interval bounds would take {wanted:.0f} s" if wanted > self.left else ""


def _subject(model: Classifier, images: ImageSet, right: np.ndarray, plan: Plan) -> _Subject:
    """The images that are right, once it is seen that the bounds of a point are the answer to it."""
    device = plan.device if plan.device.startswith("cuda") else "cpu"  # others have no float64
    bounds, size = Bounds(model, device), min(plan.batch_size, BATCH)
    x = images.batch(right.tolist())
    seen = []
    for begin in range(0, len(right), plan.batch_size):
        with torch.no_grad(), exact_float32(), model.frozen():
            seen.append(model(x.x[begin : begin + plan.batch_size].to(plan.device)).double().cpu())
    logits = torch.cat(seen)
    own = logits.gather(1, x.y[:, None])[:, 0]
    margin = own - logits.scatter(1, x.y[:, None], -torch.inf).amax(1)
    first = slice(0, size)
    point = bounds.margins(x.x[first], x.y[first], 0.0, "linf")
    gap = float((point - margin[first]).abs().max())
    if bounds.in_logits and gap > 1e-2 * float(margin.abs().max()):
        raise NoCertificateError("in float64 and layer by layer the network answers otherwise")
    slack = max(LEAST_SLACK, TIMES_ROUNDING * gap) if bounds.in_logits else LEAST_SLACK
    return _Subject(bounds, x.x, x.y, slack, size)


def _radii(
    subject: _Subject, epsilons: tuple[float, ...], norm: str, wrong: np.ndarray, ids: list[str], watch: _Watch
) -> np.ndarray | str:
    """(m,) how far each answer is proved to hold, 0 where not at the smallest budget; or why there is nothing to say.

    Args:
        wrong: (m,) the smallest change known to make each image wrong, inf where none is.
    """
    everyone = np.arange(len(ids))
    why = watch.too_long(len(ids))
    if why:
        return why

    def holds(which: np.ndarray, radii: np.ndarray) -> np.ndarray:
        found = subject.holds(which, radii, norm)
        for i in which[found & (radii >= wrong[which])]:
            problem = f"image {ids[i]} is certified to {norm} {wrong[i]:.9g}, and an attack made it wrong there"
            raise CrossedBoundsError(problem)
        return found

    proved = np.zeros(len(ids))
    smallest = np.minimum(epsilons[0], wrong)
    # Where none of a few images is certified at the smallest budget, the rest is not asked.
    few = everyone[:: max(1, len(everyone) // FEW)]
    if not holds(few, smallest[few]).any():
        return VOID
    at_all = everyone[holds(everyone, smallest)]
    if not len(at_all):
        return VOID
    why = watch.too_long(len(at_all) * (HALVINGS + 1))
    if why:
        return why
    proved[at_all] = smallest[at_all]
    unproved = np.minimum(epsilons[-1], wrong)
    throughout = holds(at_all, unproved[at_all])
    proved[at_all[throughout]] = unproved[at_all[throughout]]
    left = at_all[~throughout]
    for step in range(HALVINGS):
        middle = np.sqrt(proved[left] * unproved[left])
        found = holds(left, middle)
        proved[left[found]], unproved[left[~found]] = middle[found], middle[~found]
        if watch.report:
            watch.report(f"certificates in {norm}", step + 1, HALVINGS)
    return proved


def _words(norms: Sequence[str]) -> str:
    """What the bounds are, for a report."""
    return (
        f"Interval bounds in {' and '.join(norms)}, computed in float64: sound and incomplete in the words of ISO/IEC "
        "24029-2. What they certify, no attack within the budget changes; what they do not certify may hold as well. "
        "The rounding of the network in float32 is not bounded."
    )
