"""One training run from a recipe to a folder: what `medrobust train` does."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..data.choose.trained import TABLE, write_trained
from ..data.images.image_set import ImageSet
from ..data.unlabeled import UNLABELED
from ..files import unfinished
from ..objectives.registry import OBJECTIVES
from ..progress import Report
from ..recipes.plain import as_dict, deciding
from ..recipes.train import TrainRecipe
from ..resolve import create_classifier, pick_device
from ..runs import RUN_FILE, begin, digest, finish, hardware, look, record
from ..version import __version__
from .build import accepts, check, check_batch, make_phases, make_settings, open_sets, spares_weights
from .collapse import MOST_RESTARTS, CollapsedError
from .fit import LAST, fit
from .launch import alone, in_processes
from .loggers import make_log, require_logger
from .order import derived_seed
from .phases import phase_recipes
from .resume import STATE

SPLITS = TABLE
Say = Callable[[str], None]


def train(
    recipe: TrainRecipe, out: Path | None = None, report: Report | None = None, *, say: Say | None = None
) -> Path:
    """Train; returns the folder with the best checkpoint, last/, run.json, history.json and splits.csv.

    A run that was interrupted goes on where it stopped; one that is finished is left as it is. Nothing is written
    before the first state is: what fails until then, in a batch or in validation, leaves no folder.

    Args:
        recipe: what to train.
        out: the folder; by default runs/train-HASH, so that the same recipe goes on with the same run.
        report: called with (what, done, of).
        say: called with one line per epoch; by default lines go to the standard error when there is a report.

    Errors: UserError for everything a recipe can get wrong, before anything is written, and when out holds another run.
    """
    check(recipe)
    require_logger(recipe.logger)
    device = pick_device(recipe.device, recipe.devices)
    say = say or ((lambda line: print(line, file=sys.stderr, flush=True)) if report else lambda line: None)
    images, train_set, val_set = open_sets(recipe, report)
    check_batch(recipe, len(train_set))
    model = create_classifier(recipe.model, train_set, recipe.seed)
    metric = make_phases(None, recipe, train_set, val_set, model)[1][-1]
    seen = (
        images.fingerprint() if not recipe.data.unlabeled else digest([images.fingerprint(), train_set.fingerprint()])
    )
    identity = {"recipe": digest(deciding(recipe)), "data": seen, "version": __version__}
    folder = out or Path("runs") / f"train-{digest(identity)[:10]}"
    run, begun = look(folder, "train", identity, details(recipe, images, train_set, val_set, device))
    for left in (*unfinished(folder), *unfinished(folder / LAST)):
        left.unlink()
    if run["status"] != "running":
        (folder / STATE).unlink(missing_ok=True)
        return folder
    sets = (images, train_set, val_set)
    if begun and not (folder / SPLITS).exists():
        write_splits(folder, *sets)
    names = ("data", "view", "objective", "threat", "recipe", "versions", "command", "commit")
    card = {**{name: run[name] for name in names}, "split": SPLITS, "metric": metric}
    history = None
    while history is None:
        restarts = run.get("restarts", [])
        attempt = _attempt(recipe, len(restarts))
        try:
            if recipe.devices > 1:
                group = (share, (attempt, folder, card, run), recipe.devices, device, folder, report, say)
                history = in_processes(*group, spares=spares_weights(recipe))
            else:
                history = share(alone(device), attempt, folder, card, run, report=report, say=say, sets=sets)
        except CollapsedError as error:
            row = {"seed": attempt.seed, "epoch": error.epoch, "kind": error.collapse.kind, "says": error.collapse.text}
            start(folder, run, sets)
            run = record(folder, run, restarts=[*restarts, row])
    end(folder, run, history, metric)
    (folder / STATE).unlink(missing_ok=True)
    return folder


def start(folder: Path, run: dict[str, Any], sets: tuple[ImageSet, ImageSet, ImageSet]) -> None:
    """Begin the run in its folder, unless it has begun there: all images, those of train and of val say its split."""
    if not (folder / RUN_FILE).exists():
        begin(folder, run)
        write_splits(folder, *sets)


def end(folder: Path, run: dict[str, Any], history: list[dict[str, Any]], metric: str) -> None:
    """Mark a run as done, with its best epoch."""
    best = [row for row in history if row["best"]]
    finish(
        folder,
        run,
        best=best[-1] if best else None,
        metric=metric,
        num_epochs=len(history),
        collapses=[{"epoch": row["epoch"], "kind": row["collapse"]} for row in history if row["collapse"]],
        seconds=round(sum(row["seconds"] for row in history), 1),
    )


def _attempt(recipe: TrainRecipe, number: int) -> TrainRecipe:
    """The recipe after so many restarts: another seed, and after the last one, training goes on."""
    seed = derived_seed(recipe.seed, "restart", number) if number else recipe.seed
    again = recipe.on_collapse != "restart" or number < MOST_RESTARTS
    return dataclasses.replace(recipe, seed=seed, on_collapse=recipe.on_collapse if again else "continue")


def share(
    fabric: Any,
    recipe: TrainRecipe,
    folder: Path,
    card: dict[str, Any],
    run: dict[str, Any],
    *,
    report: Report | None,
    say: Say,
    sets: tuple[ImageSet, ImageSet, ImageSet] | None = None,
) -> list[dict[str, Any]]:
    """What each process of a group does, or the only one: build everything and train. Returns the history."""
    sets = sets or open_sets(recipe)
    _, train_set, val_set = sets
    model = create_classifier(recipe.model, train_set, recipe.seed)
    phases, _ = make_phases(fabric, recipe, train_set, val_set, model)
    log = make_log(recipe.logger, folder) if fabric.is_global_zero else lambda row: None
    settings = make_settings(recipe)
    return fit(
        fabric,
        model,
        phases,
        train_set,
        settings,
        folder,
        card=card,
        report=report,
        say=say,
        log=log,
        begin=lambda: start(folder, run, sets),
    )


def details(
    recipe: TrainRecipe, images: ImageSet, train_set: ImageSet, val_set: ImageSet, device: str
) -> dict[str, Any]:
    """What run.json says of a training run besides its identity."""
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
    view = dataclasses.asdict(images.view)
    if images.extremes is not None:  # which an audit stretches by, whatever part of the images it looks at
        view["extremes"] = list(images.extremes)
    # A model trained without an adversary has none on its card, though validation may have used one.
    names = [phase.objective.name for _, phase in phase_recipes(recipe)]
    robust = any(name in OBJECTIVES and accepts(name, "threat") for name in names)
    threat = content["threat"] | {"attack": content["attack"]} if robust else None
    return {
        "recipe": content,
        "data": data,
        "view": view,
        "objective": content["objective"],
        "threat": threat,
        "seed": recipe.seed,
        "hardware": hardware(device),
    }


def write_splits(folder: Path, images: ImageSet, train_set: ImageSet, val_set: ImageSet) -> None:
    """Write which image is in train and val; what is in neither is left for testing."""
    write_trained(folder / SPLITS, images, train_set, val_set)
