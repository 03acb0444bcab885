"""Two processes on one recipe: what one process with the doubled batch computes; one killed ends both, resumably."""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from medrobust.errors import UserError
from medrobust.models import load_model
from medrobust.recipes.train import AugmentSpec, AverageSpec, ModelSpec, OptimizerSpec
from medrobust.training import TrainRecipe, train
from training.test_training_resume import bits

Make = Callable[..., TrainRecipe]


def history(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "history.json").read_text())


def test_two_processes_compute_what_one_does_with_the_doubled_batch(make_recipe: Make, tmp_path: Path) -> None:
    common = {
        "model": ModelSpec(name="training_nets:plain"),  # batch norm would see other batches
        "epochs": 3,  # budgets of images that another process saw count from the second on
        "optimizer": OptimizerSpec(name="sgd", lr=0.05),
        "augment": AugmentSpec(shift=0.1),
        "clip_norm": 1.0,
    }
    train(make_recipe("amat", batch_size=10, **common), tmp_path / "one")
    train(make_recipe("amat", batch_size=5, devices=2, **common), tmp_path / "two")
    for one, two in zip(history(tmp_path / "one"), history(tmp_path / "two"), strict=True):
        for name in ("train_total", "train_adversarial_loss", "loss", "robust_accuracy"):
            assert two[name] == pytest.approx(one[name], rel=1e-5), name
    one, two = (load_model(str(tmp_path / name / "last")).state_dict() for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_one_process_killed_ends_both_and_the_run_goes_on(make_recipe: Make, tmp_path: Path) -> None:
    recipe = make_recipe(batch_size=5, devices=2, epochs=2, save_every=1, average=AverageSpec(kind="swa"))
    train(recipe, tmp_path / "whole")

    def kill(what: str, done: int, of: int) -> None:
        if what == "training" and done == 6:
            second = next(p for p in multiprocessing.active_children() if p.name == "process 2 of 2")
            os.kill(second.pid or 0, signal.SIGKILL)

    with pytest.raises(UserError, match="process 2 of 2 was ended by SIGKILL, and training with it"):
        train(recipe, tmp_path / "killed", kill, say=lambda line: None)
    assert not multiprocessing.active_children()
    assert (tmp_path / "killed" / "state.safetensors").exists()
    train(recipe, tmp_path / "killed")
    assert bits(tmp_path / "killed") == bits(tmp_path / "whole")


def test_a_refusal_in_a_process_of_a_group_is_said(make_recipe: Make, tmp_path: Path) -> None:
    recipe = make_recipe(model=ModelSpec(name="training_nets:exploding"), batch_size=5, devices=2)
    with pytest.raises(UserError, match="loss is not finite in epoch 1 at step 1"):
        train(recipe, tmp_path / "run")
