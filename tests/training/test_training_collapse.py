"""Planted collapses are found and said; a sound training raises nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from medrobust.recipes.train import AugmentSpec, OptimizerSpec
from medrobust.training import TrainRecipe, train
from medrobust.training import build as build_module
from medrobust.training.collapse import find_collapse

Make = Callable[..., TrainRecipe]
CLASSES = ("benign", "malignant")


def row(**changes: Any) -> dict[str, Any]:
    sound = {"predicted": [0.6, 0.4], "balanced_accuracy": 0.8, "loss": 0.5, "train_clean_loss": 0.4}
    robust = {"robust_accuracy": 0.4, "train_robust_accuracy": 0.5}
    return {**sound, **robust, **changes}


ONE = row(predicted=[1.0, 0.0], balanced_accuracy=0.5, loss=0.8, train_clean_loss=0.7)
CHANCE = row(loss=0.6931, train_clean_loss=0.6935, train_adversarial_loss=0.695)
FALLEN = row(robust_accuracy=0.0, train_robust_accuracy=0.99)


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([row(), row()], None),
        ([ONE], None),
        ([ONE, ONE], None),
        ([ONE, ONE, ONE], "one_class"),
        ([ONE, ONE, {**ONE, "train_clean_loss": 0.5}], None),
        ([row(), ONE], "one_class"),
        ([row(balanced_accuracy=0.55), ONE], None),
        ([{**ONE, "loss": 2.0}], "one_class"),
        ([CHANCE, CHANCE], None),
        ([CHANCE, CHANCE, CHANCE], "chance_loss"),
        ([CHANCE, CHANCE, {**CHANCE, "train_adversarial_loss": 0.75}], None),
        ([CHANCE, CHANCE, {**CHANCE, "loss": 0.6}], None),
        ([row(), FALLEN], "catastrophic_overfitting"),
        ([row(robust_accuracy=0.2), {**FALLEN, "train_robust_accuracy": 0.3}], None),
        ([row(robust_accuracy=0.2), FALLEN], "catastrophic_overfitting"),
        ([FALLEN], None),
    ],
)
def test_what_counts_as_a_collapse(rows: list[dict[str, Any]], kind: str | None) -> None:
    found = find_collapse(rows, CLASSES, full_budget=True)
    assert (found.kind if found else None) == kind


def test_small_budgets_in_training_are_no_sign() -> None:
    rows = [row(robust_accuracy=0.2), FALLEN]
    assert find_collapse(rows, CLASSES, full_budget=False) is None


def run_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def test_a_huge_learning_rate(make_recipe: Make, tmp_path: Path) -> None:
    recipe = make_recipe("clean", optimizer=OptimizerSpec(lr=1e4), on_collapse="stop")
    lines: list[str] = []
    folder = train(recipe, tmp_path / "run", say=lines.append)
    run = run_of(folder)
    assert "one_class" in [found["kind"] for found in run["collapses"]]
    assert sum("collapsed, all validation images are called" in line for line in lines) == 1
    assert run["num_epochs"] < 3 or run["collapses"][-1]["epoch"] == 2
    assert json.loads((folder / "history.json").read_text())[-1]["collapse"] == "one_class"


def scripted(monkeypatch: pytest.MonkeyPatch, robust: list[float]) -> None:
    """A judge that says these robust accuracies, one per epoch, and again from the start for each attempt."""
    usual = build_module.make_judge

    def make(*args: Any, **settings: Any) -> Callable[..., dict[str, Any]]:
        judge, left = usual(*args, **settings), list(robust)
        return lambda model: {**judge(model), "predicted": [0.5, 0.5], "robust_accuracy": left.pop(0)}

    monkeypatch.setattr(build_module, "make_judge", make)


@pytest.mark.parametrize(("action", "epochs"), [("continue", 4), ("stop", 3)])
def test_robust_accuracy_that_falls_within_an_epoch(
    make_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, epochs: int
) -> None:
    scripted(monkeypatch, [0.3, 0.4, 0.01, 0.01])
    lines: list[str] = []
    folder = train(make_recipe(epochs=4, on_collapse=action), tmp_path / "run", say=lines.append)
    run = run_of(folder)
    assert [line for line in lines if "collapsed" in line] == [
        "epoch 3: collapsed, robust accuracy fell from 40% to 1% (catastrophic overfitting); "
        + {"continue": "training goes on", "stop": "training stops"}[action]
    ]
    assert run["num_epochs"] == epochs
    assert {(c["epoch"], c["kind"]) for c in run["collapses"]} >= {(2, "catastrophic_overfitting")}


def test_restarts_take_new_seeds_and_are_recorded(
    make_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [0.4, 0.01])
    recipe = make_recipe(epochs=2, on_collapse="restart")
    run = run_of(train(recipe, tmp_path / "run"))
    seeds = [attempt["seed"] for attempt in run["restarts"]]
    assert len(set(seeds)) == 3
    assert seeds[0] == recipe.seed
    assert run["collapses"] == [{"epoch": 1, "kind": "catastrophic_overfitting"}]


def test_a_restart_survives_a_kill(make_recipe: Make, tmp_path: Path) -> None:
    """Stopped in its second attempt, a run goes on there, not with the weights of the first."""
    recipe = make_recipe("clean", optimizer=OptimizerSpec(lr=1e4), on_collapse="restart", epochs=2, save_every=2)
    train(recipe, tmp_path / "whole")
    seen = 0

    def report(what: str, done: int, of: int) -> None:
        nonlocal seen
        seen += what == "training"
        if seen == 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "killed", report, say=lambda line: None)
    assert run_of(tmp_path / "killed")["restarts"]
    train(recipe, tmp_path / "killed")
    for name in ("model.safetensors", "last/model.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert run_of(tmp_path / "killed")["restarts"] == run_of(tmp_path / "whole")["restarts"]


def test_a_sound_training_raises_nothing(make_recipe: Make, tmp_path: Path) -> None:
    recipe = make_recipe(epochs=8, optimizer=OptimizerSpec(lr=0.02), augment=AugmentSpec(flip=True))
    lines: list[str] = []
    torch.manual_seed(0)
    run = run_of(train(recipe, tmp_path / "run", say=lines.append))
    assert run["best"]["balanced_accuracy"] > 0.8
    assert run["collapses"] == []
    assert not any("collapsed" in line for line in lines)
