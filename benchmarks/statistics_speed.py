"""CPU seconds of each part of the summary of a large audit; its areas beside those of scikit-learn, draw by draw.

    python benchmarks/statistics_speed.py                 # 10,000 images, 10 budgets, two attacks, 2 and 7 classes

The rows are made up: clean scores, answers at each budget, patients of about three images, age, sex and site. Every
interval is a closed form (`medrobust.records.intervals`), so an audit draws nothing. Draws are made here, with
replacement and thus with ties, to compare the areas under the ROC curve with those of scikit-learn.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np
from common import write

from medrobust.auditing.summary import summarize
from medrobust.measuring.outcome import Grid
from medrobust.records.curves import curves, worst_case
from medrobust.records.groups import groups
from medrobust.records.intervals import Grouping
from medrobust.records.metrics import auroc, clean_metrics
from medrobust.records.records import Records
from medrobust.records.referral import referral
from medrobust.records.sensitivity import quantiles, sensitivity

EPSILONS = tuple(k / 2550 for k in (1, 2, 3, 5, 10, 20, 30, 50, 80, 100))
ATTACKS = ("pgd", "apgd_ce")
MOST = 2.0  # seconds that any part may take


def made_up(num_images: int, num_classes: int, seed: int = 0) -> Records:
    """Rows as an audit of these many images writes them: the clean ones, then attack by attack, image by image."""
    rng = np.random.default_rng(seed)
    n, budgets = num_images, np.array(EPSILONS)
    labels = rng.integers(num_classes, size=n)
    logits = rng.normal(size=(n, num_classes)) + 1.5 * np.eye(num_classes)[labels]
    scores = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
    clean = scores.argmax(1)
    patients = rng.integers(n // 3, size=n)
    images = {
        "image_id": np.array([f"image-{i:06d}.png" for i in range(n)], dtype=object),
        "group_id": np.array([f"patient-{i}" for i in patients], dtype=object),
        "label": labels,
        "clean_prediction": clean,
        "meta_age": rng.normal(60, 12, n).round(),
        "meta_sex": np.array(["f", "m"], dtype=object)[rng.integers(2, size=n)],
        "meta_site": np.array([*"ABCDE"], dtype=object)[rng.integers(5, size=n)],
    }
    each = {"attack": "clean", "norm": "", "goal": "", "epsilon": 0.0, "reached": clean != labels, "prediction": clean}
    tables = [images | {"scores": scores, "distance": np.zeros(n), "survives_source_bit_depth": clean != labels} | each]
    for attack in ATTACKS:
        needed = np.repeat(rng.lognormal(np.log(budgets[4]), 1.5, n), len(budgets))
        epsilon, clean_rows = np.tile(budgets, n), np.repeat(clean, len(budgets))
        reached = needed <= epsilon
        table: dict[str, Any] = {name: np.repeat(column, len(budgets)) for name, column in images.items()}
        table |= {"attack": attack, "norm": "linf", "goal": "untargeted", "epsilon": epsilon, "reached": reached}
        table |= {"prediction": np.where(reached, (clean_rows + 1) % num_classes, clean_rows)}
        table |= {"scores": np.repeat(scores, len(budgets), 0), "distance": np.where(reached, needed, 0.0)}
        tables.append(table | {"survives_source_bit_depth": reached})
    lengths = [len(table["image_id"]) for table in tables]
    columns = {
        name: np.concatenate([_full(table[name], size) for table, size in zip(tables, lengths, strict=True)])
        for name in tables[0]
    }
    zeros = np.zeros(sum(lengths), dtype=np.int64)
    return Records(columns | {"forwards": zeros, "backwards": zeros})


def _full(value: Any, size: int) -> np.ndarray:
    return (
        value
        if isinstance(value, np.ndarray)
        else np.full(size, value, dtype=object if isinstance(value, str) else float)
    )


def parts(records: Records, num_classes: int) -> dict[str, Callable[[], Any]]:
    """The parts of a summary by their names, each on its own."""
    clean = records.clean
    right = clean["clean_prediction"] == clean["label"]
    grouping, classes = Grouping(clean["group_id"]), tuple(f"class {k}" for k in range(num_classes))
    worst, found = worst_case(records, "linf"), sensitivity(records, "linf")
    confidence = clean["scores"].max(1)
    grids = (Grid("linf", EPSILONS),)
    return {
        "clean metrics": lambda: clean_metrics(
            clean["label"], clean["clean_prediction"], clean["scores"], Grouping(clean["group_id"])
        ),
        "AUROC and its interval alone": lambda: auroc(clean["label"], clean["scores"], 1),
        "curves": lambda: [curve.estimates() for curve in curves(records)],
        "worst case": lambda: worst_case(records, "linf").estimates(),
        "sensitivity": lambda: quantiles(sensitivity(records, "linf").epsilon_wrong),
        "groups": lambda: groups(records, worst, classes),
        "referral": lambda: referral(right, found.epsilon_flip, confidence, groups=clean["group_id"]),
        "one interval": lambda: grouping.mean(right),
        "the whole summary": lambda: summarize(
            records, classes=classes, positive=1, grids=grids, resolutions=[1 / 255]
        ),
    }


def cpu_seconds(work: Callable[[], Any], repeats: int) -> float:
    """The median of several runs."""
    found = []
    for _ in range(repeats):
        began = process_time()
        work()
        found.append(process_time() - began)
    return statistics.median(found)


def largest_gap(records: Records, num_draws: int, seed: int = 0) -> float:
    """The largest difference of an area from scikit-learn's, over draws of the images with replacement."""
    from sklearn.metrics import roc_auc_score

    clean, rng = records.clean, np.random.default_rng(seed)
    n, num_classes = len(clean), clean["scores"].shape[1]
    gaps = []
    for _ in range(num_draws):
        drawn = rng.integers(n, size=n)
        labels, scores = clean["label"][drawn], clean["scores"][drawn].astype(np.float64)
        theirs = [roc_auc_score(labels == k, scores[:, k]) for k in range(num_classes)]
        gaps.append(abs(auroc(labels, clean["scores"][drawn], 1) - float(np.mean(theirs))))
    return max(gaps)


def main() -> None:
    out = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    out.add_argument("--images", type=int, default=10_000)
    out.add_argument("--draws", type=int, default=100)
    out.add_argument("--repeats", type=int, default=3)
    out.add_argument("--name", help="of the result files; the script's by default")
    arguments = out.parse_args()
    arguments.threads, arguments.device = 1, "cpu"
    seconds, gaps = {}, {}
    for num_classes in (2, 7):
        records = made_up(arguments.images, num_classes)
        work = parts(records, num_classes)
        seconds[num_classes] = {name: cpu_seconds(one, arguments.repeats) for name, one in work.items()}
        gaps[num_classes] = largest_gap(records, arguments.draws)
    rows = [[name, seconds[2][name], seconds[7][name]] for name in seconds[2]]
    rows.append([f"largest gap of an AUROC, {arguments.draws} draws", gaps[2], gaps[7]])
    setting = {"images": arguments.images, "rows": len(records), "budgets": len(EPSILONS), "attacks": len(ATTACKS)}
    setting |= {"groups": Grouping(records.clean["group_id"]).num_groups, "repeats": arguments.repeats}
    write(arguments, "statistics_speed", setting, ["CPU seconds", "2 classes", "7 classes"], rows)
    slow = [name for name, *found in rows[:-1] if max(found) > MOST]
    if slow or max(gaps.values()) > 1e-12:
        raise SystemExit(f"slower than {MOST} s: {slow}; largest gap {max(gaps.values())}")


if __name__ == "__main__":
    main()
