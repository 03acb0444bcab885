import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from medrobust.errors import UserError
from medrobust.models import load_model
from medrobust.recipes.train import (
    AttackSpec,
    AugmentSpec,
    DataSpec,
    ModelSpec,
    OptimizerSpec,
    ScheduleSpec,
    ThreatSpec,
    ValidationSpec,
)
from medrobust.training import TrainRecipe, train

Make = Callable[..., TrainRecipe]


def test_a_run_leaves_a_checkpoint_that_loads(make_recipe: Make, tmp_path: Path) -> None:
    lines: list[str] = []
    folder = train(make_recipe(), tmp_path / "run", say=lines.append)
    run = json.loads((folder / "run.json").read_text())
    card = json.loads((folder / "card.json").read_text())
    history = json.loads((folder / "history.json").read_text())
    assert run["status"] == "done"
    assert run["metric"] == "mean_balanced_accuracy"
    assert len(history) == len([line for line in lines if line.startswith("epoch") and "/3: " in line]) == 3
    best = max(row["mean_balanced_accuracy"] for row in history)
    assert card["metrics"]["mean_balanced_accuracy"] == run["best"]["mean_balanced_accuracy"] == best
    assert {"data", "split", "objective", "threat", "metrics", "versions", "command"} <= set(card)
    assert not (folder / "state.safetensors").exists()
    for path in (folder, folder / "last"):
        model = load_model(str(path), classes=("benign", "malignant"))
        assert model(torch.rand(2, 1, 8, 8)).shape == (2, 2)
    rows = (folder / "splits.csv").read_text().splitlines()
    assert len(rows) == 61
    assert {row.split(",")[3] for row in rows[1:]} == {"train", "val", "test"}


def test_training_learns(make_recipe: Make, tmp_path: Path) -> None:
    recipe = make_recipe("clean", epochs=12, optimizer=OptimizerSpec(lr=0.02), augment=AugmentSpec(flip=True))
    train(recipe, tmp_path / "run")
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert history[-1]["train_accuracy"] > 0.9
    assert "robust_accuracy" not in history[0]


def test_a_finished_run_is_left_alone(make_recipe: Make, tmp_path: Path) -> None:
    train(make_recipe(), tmp_path / "run")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")}
    lines: list[str] = []
    train(make_recipe(), tmp_path / "run", say=lines.append)
    assert not lines
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")}


def test_another_run_is_never_overwritten(make_recipe: Make, tmp_path: Path) -> None:
    train(make_recipe(), tmp_path / "run")
    with pytest.raises(UserError, match="holds a run of another recipe"):
        train(make_recipe(seed=1), tmp_path / "run")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(UserError, match="not empty"):
        train(make_recipe(), tmp_path / "mine")


def test_workers_and_device_do_not_change_the_run(make_recipe: Make, tmp_path: Path) -> None:
    train(make_recipe(), tmp_path / "a")
    train(make_recipe(num_workers=1, save_every=1), tmp_path / "b")
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()
    train(make_recipe(num_workers=1, save_every=1), tmp_path / "a")  # the same run: nothing to do


def test_early_stopping_and_plateau(make_recipe: Make, tmp_path: Path) -> None:
    recipe = make_recipe(
        "clean",
        epochs=8,
        optimizer=OptimizerSpec(lr=1e-9),
        schedule=ScheduleSpec(name="plateau", gamma=0.5, patience=0),
        validation=ValidationSpec(metric="accuracy", patience=3),
    )
    train(recipe, tmp_path / "run")
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    last_best = max(i for i, row in enumerate(history) if row["best"])
    assert len(history) == last_best + 4
    assert history[-1]["lr"] == pytest.approx(1e-9 / 4)


def test_accumulation_equals_a_larger_batch(make_recipe: Make, tmp_path: Path) -> None:
    common = {
        "model": ModelSpec(name="training_nets:plain"),
        "epochs": 1,
        "optimizer": OptimizerSpec(name="sgd", lr=0.1),
    }
    train(make_recipe("clean", batch_size=10, **common), tmp_path / "large")
    train(make_recipe("clean", batch_size=5, accumulate=2, **common), tmp_path / "small")
    large, small = (load_model(str(tmp_path / name / "last")).state_dict() for name in ("large", "small"))
    for name in large:
        torch.testing.assert_close(small[name], large[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batch_size": 500}, "500 is more than the 42 training images"),
        ({"epochs": 0}, "epochs: 0 is not a positive"),
        ({"threat": ThreatSpec(epsilon=8)}, r"Did you mean 8/255\?"),
        ({"threat": ThreatSpec(epsilon=-1)}, "threat.epsilon: -1 is not a budget"),
        ({"objective": "adversrial"}, "did you mean 'adversarial'"),
        ({"options": {"clean_wieght": 1}}, "did you mean 'clean_weight'"),
        ({"options": {"clean_weight": 2}}, "from 0 to 1"),
        ({"attack": AttackSpec(options={"num_step": 3})}, "did you mean 'num_steps'"),
        ({"optimizer": OptimizerSpec(lr=-1)}, "optimizer.lr"),
        ({"optimizer": OptimizerSpec(name="adm")}, "did you mean 'adam"),
        ({"validation": ValidationSpec(metric="acuracy")}, "did you mean 'accuracy'"),
        ({"validation": ValidationSpec(attack=AttackSpec(name="pdg"))}, "did you mean 'pgd'"),
        ({"device": "tpu"}, "'tpu' is not available here"),
        ({"model": ModelSpec(name="zoo:cbr")}, "unknown network"),
        ({"data": DataSpec(name="folder:/nowhere")}, "nowhere"),
        ({"model": ModelSpec(name="training_nets:exploding")}, "loss is not finite in epoch 1 at step 1"),
    ],
)
def test_bad_recipes_say_what_is_wrong(make_recipe: Make, tmp_path: Path, changes: dict, says: str) -> None:
    with pytest.raises(UserError, match=f"(?i){says}"):
        train(make_recipe(**changes), tmp_path / "run")
    assert "not finite" in says or not (tmp_path / "run").exists()


def test_a_class_missing_from_a_part(make_recipe: Make, tmp_path: Path, image_folder: Path) -> None:
    for split, names in (("train", ("benign", "malignant")), ("val", ("benign",)), ("test", ("malignant",))):
        for name in names:
            (tmp_path / "d" / split / name).mkdir(parents=True)
            for i in range(10):
                source = image_folder / name / f"{i:02}.png"
                (tmp_path / "d" / split / name / f"{split}{i}.png").write_bytes(source.read_bytes())
    with pytest.raises(UserError, match="no image of class 'malignant' is in val"):
        train(make_recipe(data=DataSpec(name=f"folder:{tmp_path / 'd'}")), tmp_path / "run")
