"""Training of a network and an objective that are in memory, on the loop of recipes."""

from __future__ import annotations

import copy
import dataclasses
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from ..attacks.build import describe
from ..data.images.image_set import ImageSet
from ..errors import UserError
from ..files import read_json, unfinished
from ..models.checkpoint import WEIGHTS
from ..models.classifier import Classifier
from ..models.digest import state_digest, weights_digest
from ..models.weights import read_weights
from ..objectives.base import TrainingObjective
from ..progress import Report
from ..recipes.plain import deciding
from ..recipes.train import TrainRecipe
from ..resolve import pick_device
from ..runs import digest, look, read_run
from ..version import __version__
from .build import check_batch, check_loop, make_judge, make_settings, metric_of, train_and_val
from .collapse import CollapsedError
from .fit import HISTORY, LAST, fit
from .launch import alone
from .optimize import make_optimizer
from .phases import Begun, Phase
from .resume import STATE
from .run import SPLITS, details, end, start, write_splits
from .validate import CLEAN_METRICS


@dataclass(frozen=True)
class TrainRun:
    """The directory of a training run: the best checkpoint, last/, history.json, splits.csv, run.json."""

    folder: Path

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """One row per epoch."""
        return list(read_json(self.folder / HISTORY))

    @property
    def best(self) -> dict[str, Any] | None:
        """The row of the epoch whose weights were kept."""
        found: dict[str, Any] | None = read_run(self.folder)["best"]
        return found

    def __repr__(self) -> str:
        return f"TrainRun({str(self.folder)!r}, {len(self.history)} epochs)"


def describe_objective(objective: TrainingObjective) -> dict[str, Any]:
    """An objective as plain data: its class, its numbers and its attack.

    Example:
        >>> from medrobust.objectives import Trades
        >>> from medrobust.threat import Threat
        >>> describe_objective(Trades(Threat("4/255"), beta=3.0))["beta"]
        3.0
    """
    found: dict[str, Any] = {"name": type(objective).__name__}
    for key, value in vars(objective).items():
        if isinstance(value, (bool, int, float, str)) and not key.startswith("_") and key != "training":
            found[key] = value
    attack = vars(objective).get("attack")
    return found if attack is None else found | {"attack": describe(attack)}


def train_objective(
    recipe: TrainRecipe,
    model: Classifier,
    objective: TrainingObjective,
    images: ImageSet,
    out: Path,
    report: Report | None = None,
) -> TrainRun:
    """Train model with objective; afterwards it holds the weights of the best epoch, which are also in out.

    Args:
        recipe: how; its model, data, objective, attack and phases only describe what is given here.
        model: trained in place.
        objective: as it was made, before its first epoch.
        images: with splits, or split by group here.
        out: folder of the run.
        report: called with (what, done, of).

    Errors: UserError before anything is written.
    """
    check_loop(recipe)
    if recipe.devices != 1 or recipe.on_collapse == "restart":
        place = "devices" if recipe.devices != 1 else "on_collapse"
        raise UserError(place, "a network in memory trains in one process and once", "use a recipe for more")
    device = pick_device(recipe.device)
    train_set, val_set = train_and_val(images)
    check_batch(recipe, len(train_set))
    robust = recipe.validation.metric not in ("auto", *CLEAN_METRICS) or objective.robust
    metric = metric_of(recipe, objective, robust)
    identity = {
        "recipe": digest(deciding(recipe)),
        "objective": digest([describe_objective(objective), state_digest(objective.state_dict())]),
        "model": weights_digest(model),
        "data": images.fingerprint(),
        "version": __version__,
    }
    more = {"objective": describe_objective(objective)}
    run, begun = look(out, "train", identity, details(recipe, images, train_set, val_set, device) | more)
    for left in (*unfinished(out), *unfinished(out / LAST)):
        left.unlink()
    if run["status"] == "running":
        sets = (images, train_set, val_set)
        if begun and not (out / SPLITS).exists():
            write_splits(out, *sets)
        names = ("data", "view", "objective", "recipe", "versions", "command", "commit")
        card = {**{name: run[name] for name in names}, "split": SPLITS, "metric": metric}
        fabric = alone(device)
        fresh = copy.deepcopy(objective)

        def begin(network: Classifier) -> Begun:
            mine = copy.deepcopy(fresh).to(fabric.device)
            trained = [p for p in [*network.parameters(), *mine.parameters()] if p.requires_grad]
            judge = make_judge(fabric, recipe, val_set, mine, robust=robust)
            return Begun(mine, make_optimizer(recipe.optimizer, trained), judge, metric)

        full = 0 if objective.full_budget else None
        phase = Phase(epochs=recipe.epochs, begin=begin, schedule=recipe.schedule, full_budget_from=full)
        say = (lambda line: print(line, file=sys.stderr, flush=True)) if report else (lambda line: None)
        try:
            settings = make_settings(recipe)
            history = fit(
                fabric,
                model,
                [phase],
                train_set,
                settings,
                out,
                card=card,
                report=report,
                say=say,
                begin=lambda: start(out, run, sets),
            )
        except CollapsedError as error:
            raise UserError(str(out), f"training collapsed in epoch {error.epoch + 1}: {error}") from error
        end(out, run, history, metric)
    (out / STATE).unlink(missing_ok=True)
    state: dict[str, Tensor] = dict(read_weights(out / WEIGHTS))
    model.network.load_state_dict(state)
    model.eval()
    model.folder = str(out)
    return TrainRun(out)


def as_recipe_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as a recipe writes them: dataclasses of medrobust.recipes become mappings."""
    return {
        key: dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value
        for key, value in settings.items()
    }
