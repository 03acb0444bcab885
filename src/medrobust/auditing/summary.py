"""audit.json: what the rows say, with intervals. A pure function of records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data.images.image_set import ImageSet
from ..measuring.outcome import Grid
from ..numbers import epsilon_text
from ..records.calibration import METHOD, calibration
from ..records.confusion import confusion, flows
from ..records.curves import Curve, curves, norms, worst_case
from ..records.groups import columns, groups
from ..records.harm import harm
from ..records.intervals import Grouping
from ..records.per_class import Reading, all_metrics, per_class, under_attack
from ..records.records import Records
from ..records.referral import Answers, orders, referral
from ..records.referral_area import referral_areas
from ..records.sample_size import sample_size
from ..records.sensitivity import ecdf, quantiles, sensitivity
from ..records.subgroups import CORRECTION, FEWEST_GROUPS, FEWEST_IMAGES, subgroups
from ..records.worst_answers import Answers as WorstAnswers
from ..records.worst_answers import untouched, worst_answers

NUM_FRAGILE = 12
NOT_TESTED = (
    "Changes of geometry, contrast, noise, scanner or site; only the norms listed were tested.",
    "Attackers who poison the training data or steal the model.",
    "Certified robustness: an attack that fails does not prove that none exists.",
)

OTHER_CHANGES = "Changes of scanner or site; only the norms and the everyday faults listed were tested."


def budget(
    norm: str, epsilon: float, resolutions: Sequence[float], domain: tuple[float, float] = (0.0, 1.0)
) -> dict[str, Any]:
    """A budget in the units that people use.

    Args:
        norm, epsilon: of the budget.
        resolutions: one stored unit on [0, 1] of the files, each kind once; grey_levels counts these units and is null
            where files differ or store floating point.
        domain: lowest and highest value of a pixel; percent is of its width.

    Example:
        >>> budget("linf", 1 / 255, [1 / 255])["text"], budget("linf", 0.01, [1 / 400])["grey_levels"]
        ('1/255', 4.0)
    """
    out: dict[str, Any] = {"norm": norm, "epsilon": epsilon, "text": epsilon_text(epsilon, norm)}
    if norm == "linf":
        share = epsilon / (domain[1] - domain[0])
        levels = round(share / resolutions[0], 4) if len(resolutions) == 1 and resolutions[0] > 0 else None
        out |= {"grey_levels": levels, "percent": round(100 * share, 4)}
    return out


def source_units(images: ImageSet, epsilons: Sequence[float]) -> dict[str, Any]:
    """What the images were stored as, and linf budgets in that unit (HU, grey levels of the file).

    "step" is one stored unit in the unit of the file, "resolutions" the same on [0, 1]; floating point has neither.

    Images whose ranges differ, as DICOM windows may, give the smallest and the largest size of a budget.

    Example:
        >>> from medrobust.data.phantom.cases import open_phantom
        >>> found = source_units(open_phantom("ct@16,count=40"), [1 / 255])
        >>> found["unit"], found["budgets"]
        ('HU', [{'epsilon': 0.00392156862745098, 'low': 5.4902, 'high': 5.4902}])
    """
    ranges = list(dict.fromkeys(images.source(i) for i in range(len(images))))
    units = sorted({source.unit for source in ranges})
    sizes = {e: [source.epsilon_in_units(e) for source in ranges] for e in epsilons}
    one = sorted(source.epsilon_in_units(1 / 255) for source in ranges)
    span = f"{one[0]:.4g}" if one[0] == one[-1] else f"{one[0]:.4g} to {one[-1]:.4g}"
    return {
        "words": f"1/255 is {span} {units[0]} of the file" if len(units) == 1 else f"files in {' and '.join(units)}",
        "unit": units[0] if len(units) == 1 else "mixed",
        "bits": sorted({source.bits for source in ranges}),
        "step": sorted({source.step or 0.0 for source in ranges}),
        "resolutions": sorted({source.resolution for source in ranges}),
        "low": min(min(source.low, source.high) for source in ranges),
        "high": max(max(source.low, source.high) for source in ranges),
        "budgets": [
            {"epsilon": e, "low": round(min(found), 4), "high": round(max(found), 4)}
            for e, found in (sizes.items() if len(units) == 1 else ())
        ],
    }


def _points(curve: Curve, raw: bool) -> list[dict[str, Any]]:
    out = []
    for j, (epsilon, found) in enumerate(zip(curve.epsilons.tolist(), curve.estimates(), strict=True)):
        point: dict[str, Any] = {"attack": curve.attack, "norm": curve.norm, "epsilon": epsilon}
        point["robust_accuracy"] = found.as_dict()
        if raw:
            point["raw"] = {"value": round(float(curve.raw[j]), 6)}
        out.append(point)
    return out


def _without_attack(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in point.items() if name != "attack"} for point in points]


def _stored(records: Records, norm: str) -> Curve:
    """The worst case when adversarial images are rounded to what their files can hold.

    An image that is right untouched is right again where the success of the attack does not survive.
    """
    clean = records.clean
    right = clean["clean_prediction"] == clean["label"]
    epsilons = np.unique(records.where(norm=norm)["epsilon"])
    correct = np.ones((len(clean), len(epsilons)), dtype=bool)
    for curve in records.curves(norm):
        survives = records.matrix(curve.attack, norm, "survives_source_bit_depth")[1]
        reached = records.matrix(curve.attack, norm, "reached")[1]
        undone = right[:, None] & (reached | curve.nested) & ~survives
        correct[:, np.searchsorted(epsilons, curve.epsilons)] &= curve.correct | undone
    return Curve("stored", norm, epsilons, correct, clean["group_id"], records.honest)


def _direction(records: Records, curve: Curve, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Per budget, which class turns into which, among images that were right."""
    clean = records.clean
    right = clean["clean_prediction"] == clean["label"]
    answers = {
        name: records.matrix(name, curve.norm, "prediction") for name, norm in records.cells if norm == curve.norm
    }
    out = []
    for epsilon in curve.epsilons.tolist():
        turned: dict[int, int] = {}
        for own, prediction in answers.values():
            for column in np.flatnonzero(own <= epsilon if curve.nested else own == epsilon):
                changed = right & (prediction[:, column] != clean["label"])
                for i in np.flatnonzero(changed).tolist():
                    turned.setdefault(i, int(prediction[i, column]))
        pairs = Counter((int(clean["label"][i]), to) for i, to in turned.items())
        counts = [{"from": classes[a], "to": classes[b], "count": n} for (a, b), n in sorted(pairs.items())]
        out.append({"norm": curve.norm, "epsilon": epsilon, "counts": counts})
    return out


def _fragile(records: Records, norm: str, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """The images right untouched that the smallest changes turn, by the size of the change itself, not of the grid."""
    clean, found = records.clean, sensitivity(records, norm)
    known = np.flatnonzero((found.epsilon_wrong > 0) & np.isfinite(found.epsilon_wrong))
    confidence = clean["scores"].max(1)
    order = sorted(known.tolist(), key=lambda i: (found.change_wrong[i], confidence[i]))
    return [
        {
            "image_id": str(clean["image_id"][i]),
            "group_id": str(clean["group_id"][i]),
            "label": classes[int(clean["label"][i])],
            "norm": norm,
            "epsilon_wrong": float(found.epsilon_wrong[i]),
            "change_wrong": float(found.change_wrong[i]),
            "attack": str(found.change_attack[i]),
            "read_as": classes[int(found.change_answer[i])],
        }
        for i in order[:NUM_FRAGILE]
    ]


def summarize(
    records: Records,
    *,
    classes: tuple[str, ...],
    positive: int | None,
    grids: tuple[Grid, ...],
    resolutions: Sequence[float],
    prevalence: Mapping[int, float] | None = None,
    operating_point: float | None = None,
) -> dict[str, Any]:
    """The measured part of audit.json.

    Args:
        records: of one run.
        classes: names in the order of the labels.
        positive: the class that sensitivity speaks of.
        grids: what was measured.
        resolutions: one stored unit on [0, 1] of the files, each kind once.
        prevalence: class -> its share where the classifier will be used; that of the set where it is not given.
        operating_point: probability of the positive class from which a two-class classifier reads an image as it;
            None for the largest probability.
    """
    clean = records.clean
    right = clean["clean_prediction"] == clean["label"]
    grouping = Grouping(clean["group_id"])
    two = len(classes) == 2
    threshold = operating_point if two else None
    how = Reading(clean["label"], grouping, 1 if positive is None else positive, prevalence or {}, threshold)
    first_answers = untouched(records)
    metrics = all_metrics(first_answers, how)
    out: dict[str, Any] = {
        "threat": {
            "budgets": [budget(grid.norm_name, e, resolutions, grid.domain) for grid in grids for e in grid.epsilons]
        },
        "clean": {name: value.as_dict() for name, value in metrics.items()}
        | {"method": grouping.method, "operating_point": "argmax" if threshold is None else {"threshold": threshold}}
        | {"prevalence": {classes[k]: share for k, share in how.prevalence.items()} or "of the images"},
        "curve": [point for curve in curves(records) for point in _points(curve, True)],
    }
    names = norms(records)
    worst = {norm: worst_case(records, norm) for norm in names}
    out["worst_case"] = [p for c in worst.values() for p in _without_attack(_points(c, False))]
    out["stored"] = [p for norm in names for p in _without_attack(_points(_stored(records, norm), False))]
    by_norm = {norm: sensitivity(records, norm) for norm in names}
    out["sensitivity"] = [
        {
            "norm": norm,
            "epsilon_wrong": _spread(s.epsilon_wrong[right]),
            "epsilon_flip": _spread(s.epsilon_flip),
            "change_wrong": _spread(s.change_wrong[right]),
            "change_flip": _spread(s.change_flip),
            "num_never": int(np.isinf(s.epsilon_wrong).sum()),
            "ecdf": {
                "points": ecdf(s.change_wrong[right]),
                "num_images": int(right.sum()),
                "num_never": int(np.isinf(s.change_wrong[right]).sum()),
            },
        }
        for norm, s in by_norm.items()
    ]
    first = names[0]
    out["fragile"] = _fragile(records, first, classes)
    out["direction"] = [row for curve in worst.values() for row in _direction(records, curve, classes)]
    attacked = [answers for norm in names for answers in worst_answers(records, norm)]
    everything = [first_answers, *attacked]
    # Of two classes sensitivity speaks of one in any case; of more only where one is named as positive.
    spoken = how.positive if two else positive
    found = subgroups(columns(records, classes), everything, how, spoken)
    out["groups"] = [row | found[row["column"], row["value"]] for row in groups(records, worst[first], classes)]
    limits = {"fewest_images": FEWEST_IMAGES, "fewest_groups": FEWEST_GROUPS, "correction": CORRECTION}
    out["subgroup_rules"] = limits
    out["under_attack"] = [under_attack(answers, how) for answers in attacked]
    out["per_class"] = [row for answers in everything for row in per_class(answers, how, classes)]
    out["confusion"] = [_confusion(clean["label"], first_answers, answers) for answers in everything]
    errors = calibration(clean["label"], clean["clean_prediction"], clean["scores"], grouping)
    out["calibration"] = {name: e.as_dict() for name, e in errors.items()} | {"method": METHOD}
    out["sample_size"] = sample_size(right, list(worst.values()), grouping)
    judged = () if positive is None else everything
    out["harm"] = [harm(answers, clean["label"], right, how.positive, grouping) for answers in judged]
    confidence = clean["scores"].max(1)
    answers = Answers(clean["label"], clean["clean_prediction"], clean["scores"], 1 if positive is None else positive)
    flip, patients = by_norm[first].epsilon_flip, clean["group_id"]
    out["referral"] = referral(right, flip, confidence, groups=patients, answers=answers)
    out["referral_area"] = referral_areas(right, orders(flip, confidence, clean["scores"]), patients)
    return out


def _confusion(label: np.ndarray, before: WorstAnswers, now: WorstAnswers) -> dict[str, Any]:
    """The matrix of some answers, truth by answer, and who moved from where to where; classes by number."""
    found = confusion(label, before, now)
    moved = [{"class": c, "from": a, "to": b, "images": n} for c, a, b, n in flows(found)]
    return {"norm": now.norm, "epsilon": now.epsilon, "matrix": found.matrix.tolist(), "flows": moved}


def _spread(values: np.ndarray) -> Mapping[str, Any]:
    found = quantiles(values)
    return {"median": found["0.5"], "quantiles": found, "num_images": len(values)}


def not_tested(faults: bool) -> list[str]:
    """What was left out, where everyday faults were tested or not."""
    return [*NOT_TESTED[1:], OTHER_CHANGES] if faults else list(NOT_TESTED)
