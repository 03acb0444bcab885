"""The same recipe on every fold, or on several random splits, and how it does on the images left for testing."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.choose.split_rules import repeat_rules, split_images, split_name
from ..data.images.loading import batches
from ..data.open import list_images
from ..errors import UserError
from ..files import read_json, write_atomic, write_json
from ..models.load import load_model
from ..progress import Report
from ..recipes.plain import as_dict
from ..recipes.train import TrainRecipe
from ..resolve import make_attack, make_threat
from ..runs import digest
from .build import check, open_all, require_classes, spares_weights
from .run import Say, train
from .validate import validate

TEST, SUMMARY = "test.json", "summary"


def train_folds(
    recipe: TrainRecipe,
    out: Path | None = None,
    report: Report | None = None,
    *,
    folds: int = 0,
    repeats: int = 1,
    say: Say | None = None,
) -> Path:
    """Train on every split, judge each best checkpoint on its own test images; returns the folder of all runs.

    With folds, fold i of `folds` by group is for testing and 15 % of the rest for validation, again for each of
    `repeats` seeds; without, there are `repeats` random splits by group. Each split is a run in out/fold-i
    (out/fold-i-seed-s, out/group-seed-s) with its test.json; summary.json and summary.md hold the rows, means and
    standard deviations. A call that was stopped goes on when it is made again.

    Errors: UserError, before anything is trained, when a class is missing from a part of a split; and as train.
    """
    check(recipe)
    if spares_weights(recipe):
        raise UserError("folds", f"{recipe.objective.name} gives no answers to test", "train it once")
    spec = recipe.data
    rules = repeat_rules(folds=folds, repeats=repeats, seed=spec.seed or 0)
    everything = list_images(spec.name, seed=spec.seed or 0, classes=spec.classes, **spec.options)
    for rule in rules:
        try:
            require_classes(split_images(everything, rule), ("train", "val", "test"))
        except UserError as error:
            raise UserError(f"data.splits={rule}", error.problem, "use fewer folds, or more images") from error
    folder = out or Path("runs") / f"folds-{digest([as_dict(recipe), rules])[:10]}"
    rows: dict[str, dict[str, Any]] = {}
    for rule in rules:
        name = _name(rule, repeats)
        one = dataclasses.replace(recipe, data=dataclasses.replace(spec, splits=rule))
        rows[name] = judged(one, train(one, folder / name, report, say=say))
    write_json(folder / f"{SUMMARY}.json", {"rows": rows, **spread(list(rows.values()))})
    write_atomic(folder / f"{SUMMARY}.md", table(rows))
    return folder


def _name(rule: str, repeats: int) -> str:
    """The name of a split's folder: fold-1 for fold:1/5@0 where there is one seed."""
    if rule.startswith("fold:"):
        number = rule[len("fold:") :].partition("/")[0]
        return f"fold-{number}" if repeats == 1 else f"fold-{number}-seed-{rule.partition('@')[2]}"
    return split_name(rule)


def judged(recipe: TrainRecipe, folder: Path) -> dict[str, Any]:
    """Metrics of the best checkpoint on the test images of its split, under the attack of the validation."""
    path = folder / TEST
    if path.exists():
        return dict(read_json(path))
    images = open_all(recipe).with_split("test")
    robust = "robust_accuracy" in (read_json(folder / "run.json")["best"] or {})
    found = validate(
        load_model(str(folder), classes=images.classes),
        batches(images, recipe.batch_size, num_workers=recipe.num_workers),
        attack=make_attack(recipe.validation.attack, "validation.attack") if robust else None,
        threat=make_threat(recipe.threat),
        seed=recipe.seed,
    )
    row = {key: value for key, value in found.items() if isinstance(value, float)} | {"num_images": len(images)}
    write_json(path, row)
    return row


def spread(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation (of a sample) of every number that all rows have.

    Example:
        >>> spread([{"accuracy": 0.5}, {"accuracy": 0.75}])["mean"]
        {'accuracy': 0.625}
    """
    shared = [key for key in rows[0] if key != "num_images" and all(key in row for row in rows)]
    values = {key: [float(row[key]) for row in rows] for key in shared}
    return {
        "mean": {key: statistics.fmean(each) for key, each in values.items()},
        "sd": {key: statistics.stdev(each) if len(each) > 1 else 0.0 for key, each in values.items()},
    }


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The rows as a Markdown table, with their mean and standard deviation below."""
    both = spread(list(rows.values()))
    names = list(both["mean"])
    lines = [["split", "test images", *names], ["---"] * (len(names) + 2)]
    for name, row in rows.items():
        lines.append([name, str(row["num_images"]), *(f"{row[key]:.3f}" for key in names)])
    for name, values in both.items():
        lines.append([name, "", *(f"{values[key]:.3f}" for key in names)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
