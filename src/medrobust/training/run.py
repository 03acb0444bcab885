"""One training run from a recipe to a folder: what `medrobust train` does."""

from __future__ import annotations

import csv
import dataclasses
import io
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..data import ImageSet
from ..data.unlabeled import UNLABELED
from ..errors import UserError
from ..files import unfinished, write_atomic
from ..progress import Report
from ..runs import claim, digest, finish, hardware
from .build import (
    build_objective,
    check,
    check_batch,
    make_judge,
    make_model,
    make_plan,
    make_view,
    metric_of,
    open_sets,
)
from .fit import LAST, fit
from .loggers import make_log, require_logger
from .optimize import make_optimizer
from .recipe import TrainRecipe, as_dict, deciding
from .resume import STATE
from .validate import CLEAN_METRICS

SPLITS = "splits.csv"
Say = Callable[[str], None]


def train(
    recipe: TrainRecipe, out: Path | None = None, report: Report | None = None, *, say: Say | None = None
) -> Path:
    """Train; returns the folder with the best checkpoint, last/, run.json, history.json and splits.csv.

    A run that was interrupted goes on where it stopped; one that is finished is left as it is.

    Args:
        recipe: what to train.
        out: the folder; by default runs/train-HASH, so that the same recipe goes on with the same run.
        report: called with (what, done, of).
        say: called with one line an epoch; by default they go to the standard error when there is a report.

    Errors: UserError for everything a recipe can get wrong, before anything is written, and when out holds another run.
    """
    check(recipe)
    require_logger(recipe.logger)
    say = say or ((lambda line: print(line, file=sys.stderr, flush=True)) if report else lambda line: None)
    fabric = _fabric(recipe)
    images, train_set, val_set = open_sets(recipe, report)
    check_batch(recipe, len(train_set))
    model = make_model(recipe, train_set)
    objective = build_objective(recipe, len(train_set), model)
    optimizer = make_optimizer(recipe.optimizer, [*model.parameters(), *objective.parameters()])
    metric = metric_of(recipe, objective)
    judge = make_judge(fabric, recipe, val_set, objective, robust=objective.robust or metric not in CLEAN_METRICS)
    seen = (
        images.fingerprint() if not recipe.data.unlabeled else digest([images.fingerprint(), train_set.fingerprint()])
    )
    identity = {"recipe": digest(deciding(recipe)), "data": seen, "version": __version__}
    folder = out or Path("runs") / f"train-{digest(identity)[:10]}"
    run = claim(folder, "train", identity, _details(recipe, images, train_set, val_set, fabric.device))
    for left in (*unfinished(folder), *unfinished(folder / LAST)):
        left.unlink()
    if run["status"] != "running":
        (folder / STATE).unlink(missing_ok=True)
        return folder
    log = make_log(recipe.logger, folder)
    write_atomic(folder / SPLITS, splits_csv(images, train_set, val_set))
    card = {
        name: run[name] for name in ("data", "view", "objective", "threat", "recipe", "versions", "command", "commit")
    }
    history = fit(
        fabric,
        model,
        objective,
        optimizer,
        train_set,
        judge,
        make_plan(recipe, metric),
        folder,
        card={**card, "split": SPLITS, "metric": metric},
        report=report,
        say=say,
        log=log,
    )
    best = [row for row in history if row["best"]]
    finish(
        folder,
        run,
        best=best[-1] if best else None,
        metric=metric,
        num_epochs=len(history),
        seconds=round(sum(row["seconds"] for row in history), 1),
    )
    (folder / STATE).unlink(missing_ok=True)
    return folder


def _fabric(recipe: TrainRecipe) -> Any:
    from lightning_fabric import Fabric

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    device = recipe.device
    if device not in ("auto", "cpu", "cuda"):
        raise UserError("device", f"unknown device {device!r}", "valid: auto, cpu, cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device", "'cuda' is not available here", "use cpu or auto")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    fabric = Fabric(accelerator=device, devices=recipe.devices)
    fabric.launch()
    return fabric


def _details(
    recipe: TrainRecipe, images: ImageSet, train_set: ImageSet, val_set: ImageSet, device: torch.device
) -> dict[str, Any]:
    content = as_dict(recipe)
    data = {
        "name": images.name,
        "classes": list(images.classes),
        "num_images": len(images),
        "num_train": len(train_set),
        "num_val": len(val_set),
        "num_unlabeled": sum(sample.label == UNLABELED for sample in train_set.samples),
        "num_groups": len(set(images.groups)),
        "broken": [list(pair) for pair in images.broken],
    }
    view = dataclasses.asdict(make_view(recipe.data))
    threat = content["threat"] | {"attack": content["attack"]}
    return {
        "recipe": content,
        "data": data,
        "view": view,
        "objective": content["objective"],
        "threat": threat,
        "seed": recipe.seed,
        "hardware": hardware(str(device)),
    }


def splits_csv(images: ImageSet, train_set: ImageSet, val_set: ImageSet) -> str:
    """image_id, group_id, label and split of every image; what is neither train nor val is left for testing."""
    names = {s.image_id: "train" for s in train_set.samples} | {s.image_id: "val" for s in val_set.samples}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image_id", "group_id", "label", "split"])
    for sample in images.samples:
        split = names.get(sample.image_id, "test")
        writer.writerow([sample.image_id, sample.group_id, images.classes[sample.label], split])
    return text.getvalue()
