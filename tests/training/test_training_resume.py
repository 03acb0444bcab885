"""A run that was stopped anywhere ends with the same bits as one that was not."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from medrobust.errors import UserError
from medrobust.training import TrainRecipe, train
from medrobust.training.checkpoint import load_state, save_state
from medrobust.training.recipe import AugmentSpec, ModelSpec, OptimizerSpec, ScheduleSpec, ThreatSpec

Make = Callable[..., TrainRecipe]


def bits(folder: Path) -> dict[str, object]:
    rows = json.loads((folder / "history.json").read_text())
    content: dict[str, object] = {"history": [{k: v for k, v in row.items() if k != "seconds"} for row in rows]}
    for name in ("model.safetensors", "last/model.safetensors"):
        content[name] = (folder / name).read_bytes()
    return content


class StoppedError(Exception):
    pass


def stop_at(step: int) -> Callable[[str, int, int], None]:
    def report(what: str, done: int, of: int) -> None:
        if what == "training" and done == step:
            raise StoppedError

    return report


VARIANTS = {
    "adam": {},
    "sgd with everything": {
        "optimizer": OptimizerSpec(name="sgd", lr=0.05, nesterov=True, weight_decay=1e-3),
        "schedule": ScheduleSpec(name="one_cycle", warm_up=0.5),
        "augment": AugmentSpec(shift=0.1, rotation=20, vertical_flip=True),
        "threat": ThreatSpec(epsilon=0.02, norm="l2", epsilon_warm_up=2),
        "accumulate": 2,
        "clip_norm": 1.0,
        "balance": True,
    },
    "plateau, low precision": {
        "schedule": ScheduleSpec(name="plateau", patience=0, gamma=0.5),
        "precision": "fast",
        "model": ModelSpec(name="training_nets:small", mean=(0.5,), std=(0.25,)),
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_stopped_at_any_step(make_recipe: Make, tmp_path: Path, variant: str) -> None:
    recipe = make_recipe(epochs=2, save_every=2, options={"clean_weight": 0.3}, **VARIANTS[variant])
    train(recipe, tmp_path / "whole")
    expected = bits(tmp_path / "whole")
    for step in (1, 2, 5, 7, 9):
        folder = tmp_path / f"stopped-{step}"
        with pytest.raises(StoppedError):
            train(recipe, folder, stop_at(step), say=lambda line: None)
        train(recipe, folder)
        assert bits(folder) == expected, f"stopped at step {step}"


def _train_quietly(recipe: TrainRecipe, folder: Path) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - the process is about to be killed
    torch.set_num_threads(1)
    train(recipe, folder)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_killed_ten_times(make_recipe: Make, tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["medrobust.training.run", "lightning_fabric"])
    recipe = make_recipe(epochs=4, save_every=2, options={"clean_weight": 0.5})

    def start(folder: Path) -> multiprocessing.process.BaseProcess:
        process = context.Process(target=_train_quietly, args=(recipe, folder))
        process.start()
        return process

    for name in ("first", "whole"):  # the first also waits for the server to start
        began = time.monotonic()
        whole = start(tmp_path / name)
        whole.join(120)
        duration = time.monotonic() - began
        assert whole.exitcode == 0
    expected = bits(tmp_path / "whole")
    moments, kills, ended = random.Random(0), 0, 0
    for _ in range(40):
        folder = tmp_path / f"killed-{ended}"
        process = start(folder)
        if kills < 10:
            process.join(moments.uniform(0.1, 0.7) * duration)
        if kills < 10 and process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
            process.join()
            continue
        process.join(120)
        assert process.exitcode == 0
        assert bits(folder) == expected
        ended += 1
        if kills == 10:
            return
    pytest.fail(f"only {kills} kills hit a running process")


def test_states_keep_every_kind_of_value(tmp_path: Path) -> None:
    state = {"a": {0: torch.arange(3), "n": None}, "b": [1, 0.1, True, "x", float("-inf")], "c": torch.tensor(2.5)}
    save_state(tmp_path / "s", state)
    again = load_state(tmp_path / "s")
    assert torch.equal(again["a"][0], state["a"][0])
    assert again["b"] == state["b"]
    assert again["c"].shape == ()
    (tmp_path / "s").write_bytes(b"x")
    with pytest.raises(UserError, match="not the state of a run"):
        load_state(tmp_path / "s")
