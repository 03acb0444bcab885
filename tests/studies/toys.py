"""A small study, cells that compute nothing, and what they do: it is written to a file that all workers append to."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from medrobust.recipes.study import StudyRecipe
from medrobust.recipes.yaml import study_recipe
from medrobust.study.cell import Cell
from medrobust.study.merge import expand, merge
from medrobust.study.worker import Log

DID = "did.txt"

MINI: dict[str, Any] = {
    "study": "mini",
    "train": {
        "model": "zoo:cbr_tiny",
        "data": {"name": "phantom:ultrasound@32,count=60"},
        "epochs": 1,
        "batch_size": 16,
        "device": "cpu",
    },
    "audit": {
        "attacks": {"fgsm": {}},
        "threat": {"epsilons": ["1/255", "4/255"]},
        "certify": "off",
        "data": {"limit": 8},
        "device": "cpu",
    },
    "axes": {
        "training": {
            "standard": {},
            "adversarial": {"init": {"training": "standard"}, "train": {"objective": "adversarial"}},
        },
        "seed": {"0": {"train": {"seed": 0}}, "1": {"train": {"seed": 1}}},
    },
    "protocols": {"paper": {}, "honest": {}},
    "profiles": {"smoke": {"keep": {"seed": ["0"]}}, "cpu": {}},
    "checks": "none",
}


def mini(**changes: Any) -> StudyRecipe:
    """The small study with changes, section by section."""
    return study_recipe(merge(expand(MINI), expand(changes)))


def cell(name: str, *needs: Cell) -> Cell:
    """A cell that computes nothing."""
    return Cell("train", {"kind": "train", "name": name}, {"device": "cpu"}, tuple(one.key for one in needs), name)


def trivial(num: int) -> list[Cell]:
    """So many cells that need nothing."""
    return [cell(f"cell {number}") for number in range(num)]


def chain() -> list[Cell]:
    """bad -> after -> last, and one that stands alone."""
    first = cell("bad")
    second = cell("after", first)
    return [first, second, cell("last", second), cell("alone")]


def note(cell: Cell, run: Path, word: str = "did") -> None:
    """Append a line, in one step, to the file of what was done, beside the folder of the cells."""
    line = json.dumps({"cell": cell.title, "word": word, "pid": os.getpid(), "at": time.time()}) + "\n"
    handle = os.open(run.parents[2] / DID, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(handle, line.encode())
    os.close(handle)


def notes(folder: Path, word: str = "did") -> list[dict[str, Any]]:
    """What was noted."""
    path = folder / DID
    lines = path.read_text().splitlines() if path.exists() else []
    return [one for one in map(json.loads, lines) if one["word"] == word]


def weights(cell: Cell) -> Mapping[str, Any]:
    """A result: a training has weights of its own, an audit says which it measured."""
    return {"weights": cell.needs[0] if cell.kind == "audit" else cell.key}


def at_once(cell: Cell, run: Path, start: Path | None, log: Log) -> Mapping[str, Any]:
    """Return."""
    return weights(cell)


def counted(cell: Cell, run: Path, start: Path | None, log: Log) -> Mapping[str, Any]:
    """Note that it was done."""
    note(cell, run)
    return weights(cell)


def told_threads(cell: Cell, run: Path, start: Path | None, log: Log) -> Mapping[str, Any]:
    """With how many threads torch computes here."""
    return {"weights": cell.key, "threads": torch.get_num_threads()}


def nap(cell: Cell, run: Path, start: Path | None, log: Log) -> Mapping[str, Any]:
    """Sleep 50 ms, and note when it began and ended."""
    note(cell, run, "began")
    time.sleep(0.05)
    note(cell, run)
    return weights(cell)


def failing(cell: Cell, run: Path, start: Path | None, log: Log) -> Mapping[str, Any]:
    """Fail in a cell whose title has "bad", unless a file says that all is well."""
    note(cell, run)
    if "bad" in cell.title and not (run.parents[2] / "well").exists():
        raise ValueError("as it was told to")
    return weights(cell)


def slow_once(cell: Cell, run: Path, start: Path | None, log: Log) -> Mapping[str, Any]:
    """In a cell whose title has "slow": wait long when it is done for the first time, as what will be killed."""
    first = not run.exists()
    run.mkdir(parents=True, exist_ok=True)
    note(cell, run, "began")
    if "slow" in cell.title and first:
        time.sleep(120)
    note(cell, run)
    return weights(cell)


def deadly(cell: Cell, run: Path, start: Path | None, log: Log) -> Mapping[str, Any]:
    """In a cell whose title has "bad": kill the process that does it."""
    note(cell, run)
    if "bad" in cell.title:
        os.kill(os.getpid(), signal.SIGKILL)
    return weights(cell)
