"""Images without labels in a run, pre-training and its weights, AWP and loggers from a recipe."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from medrobust.data import View, open_images
from medrobust.data.unlabeled import UNLABELED, hide_labels, join, open_unlabeled
from medrobust.errors import UserError
from medrobust.models import load_model
from medrobust.recipes.train import AugmentSpec, DataSpec, ModelSpec
from medrobust.recipes.yaml import train_recipe
from medrobust.training import TrainRecipe, train

Make = Callable[..., TrainRecipe]


class StoppedError(Exception):
    pass


def stop_at(step: int) -> Callable[[str, int, int], None]:
    def report(what: str, done: int, of: int) -> None:
        if what == "training" and done == step:
            raise StoppedError

    return report


@pytest.fixture
def flat(image_folder: Path, tmp_path: Path) -> Path:
    """Twelve new images in no class folder, and two that the labeled set has."""
    from PIL import Image

    folder = tmp_path / "flat"
    (folder / "deep").mkdir(parents=True)
    for i in range(12):
        pixels = torch.randint(0, 255, (8, 8), dtype=torch.uint8).numpy()
        Image.fromarray(pixels).save(folder / ("deep" if i % 2 else ".") / f"{i}.png")
    for i in range(2):
        shutil.copy(image_folder / "benign" / f"{i:02}.png", folder / f"known{i}.png")
    return folder


def test_labels_are_hidden_class_by_class_and_group_by_group(image_folder: Path) -> None:
    images = open_images(f"folder:{image_folder}", view=View(color="grey"), split="all")
    grouped = images.replace(
        samples=[dataclasses.replace(s, group_id=f"{s.label}-{i // 3}") for i, s in enumerate(images.samples)]
    )
    for share, left in ((0.5, 15), (0.8, 6), (0.0, 30)):
        part = hide_labels(grouped, share, seed=3)
        assert [int((part.labels == label).sum()) for label in (0, 1)] == [left, left]
        for group in set(grouped.groups):
            assert len({s.label == UNLABELED for s in part.samples if s.group_id == group}) == 1
    assert hide_labels(grouped, 0.5, seed=3).labels.tolist() == hide_labels(grouped, 0.5, seed=3).labels.tolist()
    assert hide_labels(grouped, 0.5, seed=3).labels.tolist() != hide_labels(grouped, 0.5, seed=4).labels.tolist()
    with pytest.raises(UserError, match="hide_labels"):
        hide_labels(images, 1.0)


def test_unlabeled_images_leave_out_what_the_labeled_set_has(image_folder: Path, flat: Path) -> None:
    images = open_images(f"folder:{image_folder}", view=View(color="grey"), split="all")
    more = open_unlabeled(f"folder:{flat}", images)
    assert len(more) == 12
    assert set(more.labels.tolist()) == {UNLABELED}
    both = join(images, more)
    assert len(both) == 72
    assert torch.equal(both[65][0], more[5][0])
    assert torch.equal(both[7][0], images[7][0])
    assert both.fingerprint() != images.fingerprint()
    with pytest.raises(UserError, match="no image that the labeled set has not"):
        open_unlabeled(f"folder:{image_folder}", images)


OPTIONS = {
    "pseudo": ("semi_rst", {"threshold": 0.5}),
    "consistency": ("semi_rst", {"unlabeled_loss": "consistency"}),
    "simclr": ("simclr", {"projection": 8}),
    "awp": ("adversarial", {"awp": {"gamma": 0.01, "warm_up": 1}}),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_stopped_at_any_step(make_recipe: Make, tmp_path: Path, image_folder: Path, flat: Path, name: str) -> None:
    objective, options = OPTIONS[name]
    data = DataSpec(name=f"folder:{image_folder}", hide_labels=0.5, unlabeled=f"folder:{flat}")
    changes = {} if name == "awp" else {"data": data}
    recipe = make_recipe(objective, options, epochs=2, save_every=2, **changes)
    train(recipe, tmp_path / "whole")
    expected = [(tmp_path / "whole" / f).read_bytes() for f in ("model.safetensors", "last/model.safetensors")]
    for step in (3, 6, 8):
        folder = tmp_path / f"stopped-{step}"
        with pytest.raises(StoppedError):
            train(recipe, folder, stop_at(step), say=lambda line: None)
        train(recipe, folder)
        assert [(folder / f).read_bytes() for f in ("model.safetensors", "last/model.safetensors")] == expected
    run = json.loads((tmp_path / "whole" / "run.json").read_text())
    assert run["data"]["num_unlabeled"] == (0 if name == "awp" else 21 + 12 - 1)
    assert run["metric"] == ("loss" if name == "simclr" else "mean_balanced_accuracy")


def test_awp_from_a_recipe_changes_the_weights(make_recipe: Make, tmp_path: Path) -> None:
    content = {"objective": {"name": "adversarial", "clean_weight": 0.5, "awp": {"gamma": 0.05}}}
    assert train_recipe(content).objective.options["awp"] == {"gamma": 0.05}
    runs = {}
    for gamma in (None, 0.0, 0.05):
        options: dict[str, Any] = {"clean_weight": 0.5} | ({} if gamma is None else {"awp": gamma})
        folder = train(make_recipe("adversarial", options, epochs=1), tmp_path / f"{gamma}")
        runs[gamma] = (folder / "last" / "model.safetensors").read_bytes()
    assert runs[None] == runs[0.0]
    assert runs[None] != runs[0.05]


def test_pretrained_weights_start_another_run(make_recipe: Make, tmp_path: Path) -> None:
    first = train(make_recipe("simclr", epochs=2), tmp_path / "first")
    history = json.loads((first / "history.json").read_text())
    assert "accuracy" not in history[0]
    best = min(history, key=lambda row: row["loss"])
    assert json.loads((first / "card.json").read_text())["metrics"]["loss"] == best["loss"]
    untouched = dict(load_model(str(first)).network.named_parameters())
    second = make_recipe("clean", epochs=1, model=ModelSpec(name="training_nets:small", init=str(first)))
    third = make_recipe("clean", epochs=1)
    folder, other = train(second, tmp_path / "second"), train(third, tmp_path / "third")
    assert (folder / "model.safetensors").read_bytes() != (other / "model.safetensors").read_bytes()
    assert not any("head" in name for name in untouched)


@pytest.mark.parametrize(
    ("objective", "data", "says"),
    [
        ("adversarial", {"hide_labels": 0.5}, "data.hide_labels: adversarial cannot train on images without labels"),
        ("clean", {"unlabeled": "folder:x"}, "use objective.name=semi_rst, simclr"),
        ("semi_rst", {"unlabeled": "folder:/nowhere"}, "nowhere"),
        ("semi_rst", {"unlabeled": "folde:x"}, "folder"),
        ("semi_rst", {"hide_labels": -0.5}, "share from 0"),
        ("clean", {"splits": "fold:9/5"}, "is not a fold"),
    ],
)
def test_one_line_for_what_cannot_work(
    make_recipe: Make, tmp_path: Path, image_folder: Path, objective: str, data: dict, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        train(make_recipe(objective, data=DataSpec(name=f"folder:{image_folder}", **data)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_tensorboard_gets_every_epoch(make_recipe: Make, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recipe = make_recipe(logger="tensorboard")
    folder = tmp_path / "run"
    with pytest.raises(StoppedError):
        train(recipe, folder, stop_at(7), say=lambda line: None)
    train(recipe, folder)
    found = EventAccumulator(str(folder / "logs")).Reload()
    history = json.loads((folder / "history.json").read_text())
    for name in ("accuracy", "robust_accuracy", "train_total"):
        points = found.Scalars(name)
        assert [point.step for point in points] == [0, 1, 2]
        assert [point.value for point in points] == pytest.approx([row[name] for row in history])
    train(make_recipe(logger="none"), folder)  # the logger does not make it another run


def test_mlflow_goes_on_in_its_run(make_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in with the two calls that are made: the package needs a server's worth of others."""
    calls: list[tuple[str | None, int, dict[str, float]]] = []

    class Run:
        def __init__(self, run_id: str | None) -> None:
            self.given, self.info = run_id, types.SimpleNamespace(run_id=run_id or "abc")

        def __enter__(self) -> Run:
            stand_in.active = self
            return self

        def __exit__(self, *_: object) -> None:
            stand_in.active = None

    stand_in = types.ModuleType("mlflow")
    stand_in.__spec__ = types.SimpleNamespace(name="mlflow")
    stand_in.active = None
    stand_in.start_run = lambda run_id=None, run_name=None: Run(run_id)
    stand_in.log_metrics = lambda values, step: calls.append((stand_in.active.given, step, values))
    monkeypatch.setitem(sys.modules, "mlflow", stand_in)
    train(make_recipe(logger="mlflow", epochs=2), tmp_path / "run")
    assert [(given, step) for given, step, _ in calls] == [(None, 0), ("abc", 1)]
    assert {"accuracy", "robust_accuracy"} <= set(calls[0][2])


def test_a_missing_package_is_one_line(make_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medrobust.training.loggers.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"logger: mlflow is not installed.*medrobust\[loggers\]"):
        train(make_recipe(logger="mlflow"), tmp_path / "run")
    with pytest.raises(UserError, match="Did you mean 'tensorboard'"):
        train(make_recipe(logger="tensorbord"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert isinstance(make_recipe().augment, AugmentSpec)
