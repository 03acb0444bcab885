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
from medrobust.recipes.train import AugmentSpec, ModelSpec, OptimizerSpec, ScheduleSpec, ThreatSpec
from medrobust.training import TrainRecipe, train
from medrobust.training.checkpoint import load_state, save_state

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


class DeadError(BaseException):
    """What a killed process would have done next."""


class Death:
    """From a given change of a file in the folder on, every change fails, those of clean-up code too: as if killed."""

    changes = ("os.mkdir", "os.rename", "os.remove", "os.chmod", "tempfile.mkstemp", "open")

    def __init__(self) -> None:
        self.folder, self.at, self.seen = "", 0, 0
        sys.addaudithook(self.look)  # cannot be taken away again, so there is one for all tests

    def look(self, event: str, args: tuple[object, ...]) -> None:
        if not self.at or event not in self.changes or not str(args[0]).startswith(self.folder):
            return
        if event == "open" and not set(str(args[1])) & set("wax+"):
            return
        self.seen += 1
        if self.seen >= self.at:
            raise DeadError

    def strikes(self, recipe: TrainRecipe, folder: Path, at: int) -> bool:
        """Whether training came to the change number `at`."""
        self.folder, self.at, self.seen = str(folder), at, 0
        try:
            train(recipe, folder)
        except DeadError:
            return True
        finally:
            self.at = 0
        return False


@pytest.fixture(scope="module")
def death() -> Death:
    return Death()


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_killed_before_every_change_of_a_file(make_recipe: Make, tmp_path: Path, death: Death) -> None:
    recipe = make_recipe("clean", epochs=1, batch_size=20, save_every=1)
    train(recipe, tmp_path / "whole")
    expected, moment = bits(tmp_path / "whole"), 1
    while death.strikes(recipe, folder := tmp_path / f"killed-{moment}", moment):
        train(recipe, folder)
        assert bits(folder) == expected, f"killed before change {moment}"
        assert json.loads((folder / "run.json").read_text())["status"] == "done"
        assert names(folder) == names(tmp_path / "whole")
        moment += 1
    assert moment > 20


def _train(recipe: TrainRecipe, folder: Path, log: Path) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    train(recipe, folder)


def start(recipe: TrainRecipe, folder: Path) -> multiprocessing.process.BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["medrobust.training.run", "lightning_fabric"])
    process = context.Process(target=_train, args=(recipe, folder, folder.with_suffix(".log")))
    process.start()
    return process


def ended_well(process: multiprocessing.process.BaseProcess, folder: Path) -> bool:
    """Whether the process ended by itself and well; what it said is shown when it did not."""
    process.join(120)
    if process.exitcode != 0:
        print(folder.with_suffix(".log").read_text())
    return process.exitcode == 0


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_killed_ten_times(make_recipe: Make, tmp_path: Path) -> None:
    recipe = make_recipe(epochs=4, save_every=2, options={"clean_weight": 0.5})
    for name in ("first", "whole"):  # the first also waits for the server to start
        began = time.monotonic()
        assert ended_well(start(recipe, tmp_path / name), tmp_path / name)
        duration = time.monotonic() - began
    expected = bits(tmp_path / "whole")
    moments, kills, ended = random.Random(0), 0, 0
    for _ in range(40):
        folder = tmp_path / f"killed-{ended}"
        process = start(recipe, folder)
        if kills < 10:
            process.join(moments.uniform(0.1, 0.7) * duration)
        if kills < 10 and process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
            process.join()
            continue
        assert ended_well(process, folder)
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
