"""Every fold, tested once; several seeds; one line when a fold cannot work."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from medrobust.errors import UserError
from medrobust.recipes.train import DataSpec, ThreatSpec
from medrobust.training import TrainRecipe
from medrobust.training.folds import spread, train_folds

Make = Callable[..., TrainRecipe]


def rows_of(folder: Path) -> list[list[str]]:
    return [line.split(",") for line in (folder / "splits.csv").read_text().splitlines()[1:]]


def test_every_image_is_tested_once_and_the_summary_is_of_the_tests(make_recipe: Make, tmp_path: Path) -> None:
    recipe = make_recipe(epochs=1, threat=ThreatSpec(epsilon=0.01))
    folder = train_folds(recipe, tmp_path / "run", folds=3)
    tested = [row[0] for i in (1, 2, 3) for row in rows_of(folder / f"fold-{i}") if row[3] == "test"]
    assert len(tested) == len(set(tested)) == 60
    summary = json.loads((folder / "summary.json").read_text())
    each = [json.loads((folder / f"fold-{i}" / "test.json").read_text()) for i in (1, 2, 3)]
    assert list(summary["rows"].values()) == each
    assert sum(row["num_images"] for row in each) == 60
    assert summary["mean"]["robust_accuracy"] == pytest.approx(sum(row["robust_accuracy"] for row in each) / 3)
    text = (folder / "summary.md").read_text()
    assert text.count("\n") == 7
    assert f"{summary['sd']['accuracy']:.3f}" in text.splitlines()[-1]


def test_a_call_that_was_stopped_goes_on(make_recipe: Make, tmp_path: Path) -> None:
    recipe = make_recipe("clean", epochs=1)
    whole = train_folds(recipe, tmp_path / "whole", folds=2)
    folder = train_folds(recipe, tmp_path / "run", folds=2)
    kept = (folder / "fold-1" / "model.safetensors").stat().st_mtime_ns
    shutil.rmtree(folder / "fold-2")
    (folder / "summary.json").unlink()
    train_folds(recipe, folder, folds=2)
    assert (folder / "fold-1" / "model.safetensors").stat().st_mtime_ns == kept
    assert (folder / "summary.json").read_bytes() == (whole / "summary.json").read_bytes()


def test_repeats_are_other_splits(make_recipe: Make, tmp_path: Path) -> None:
    folder = train_folds(make_recipe("clean", epochs=1), tmp_path / "run", repeats=2)
    first, second = sorted(folder.glob("group-seed-*"))
    assert rows_of(first) != rows_of(second)
    folder = train_folds(make_recipe("clean", epochs=1), tmp_path / "folds", folds=2, repeats=2)
    assert len(list(folder.glob("fold-*-seed-*"))) == 4


def test_a_class_missing_from_a_fold_is_one_line(make_recipe: Make, tmp_path: Path, image_folder: Path) -> None:
    for name, count in (("benign", 20), ("malignant", 3)):
        (tmp_path / "few" / name).mkdir(parents=True)
        for i in range(count):
            shutil.copy(image_folder / name / f"{i:02}.png", tmp_path / "few" / name / f"{name}{i}.png")
    recipe = make_recipe("clean", data=DataSpec(name=f"folder:{tmp_path / 'few'}"))
    with pytest.raises(UserError, match=r"data.splits=fold:\S+: no image of class 'malignant' is in \w+.*fewer folds"):
        train_folds(recipe, tmp_path / "run", folds=5)
    with pytest.raises(UserError, match="23 groups do not fill 40 folds"):
        train_folds(recipe, tmp_path / "run", folds=40)
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_folded(make_recipe: Make, tmp_path: Path) -> None:
    for arguments, says in (({"folds": 1}, "1 is not a number of folds"), ({"repeats": 0}, "not a number of repeats")):
        with pytest.raises(UserError, match=says):
            train_folds(make_recipe("clean"), tmp_path / "run", **arguments)
    with pytest.raises(UserError, match="no answers to test"):
        train_folds(make_recipe("simclr"), tmp_path / "run", folds=2)


def test_one_fold_alone_is_a_split(make_recipe: Make, tmp_path: Path) -> None:
    from medrobust.training import train

    recipe = make_recipe("clean", epochs=1)
    data = dataclasses.replace(recipe.data, splits="fold:2/3@0")
    alone = train(dataclasses.replace(recipe, data=data), tmp_path / "alone")
    together = train_folds(recipe, tmp_path / "run", folds=3) / "fold-2"
    assert (alone / "model.safetensors").read_bytes() == (together / "model.safetensors").read_bytes()
    assert isinstance(recipe.data, DataSpec)


def test_spread_of_one_row_is_zero() -> None:
    assert spread([{"accuracy": 0.5, "num_images": 3}]) == {"mean": {"accuracy": 0.5}, "sd": {"accuracy": 0.0}}
