"""What a cell does: train, or audit, and say in one file what was found."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import get_num_threads

from ..auditing.audit import run_audit
from ..auditing.checks.choices import CHOICES
from ..auditing.setup import Setup, resolve
from ..files import read_json, sha256_file
from ..models.checkpoint import WEIGHTS
from ..recipes.audit import AuditRecipe
from ..recipes.train import TrainRecipe
from ..recipes.yaml import dump, from_plain
from ..records.curves import curves, worst_case
from ..records.intervals import Grouping
from ..records.per_class import Reading, all_metrics
from ..records.records import Records
from ..records.sensitivity import sensitivity
from ..records.worst_answers import Answers, untouched, worst_answers
from ..runs import RUN_FILE, commit, hardware, now, versions
from ..training.run import train
from .cell import Cell
from .read import NONE, WORST, pack, pack_classes

Log = Callable[[str], None]
DIGITS = 6


def train_result(cell: Cell, run: Path, start: Path | None, log: Log) -> dict[str, Any]:
    """Train in the folder run, from the weights of the run `start` if one is given."""
    recipe = from_plain(TrainRecipe, cell.recipe)
    if start is not None:
        recipe = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, init=str(start)))
    train(recipe, run, say=log)
    said = read_json(run / RUN_FILE)
    best = said.get("best") or {}
    return {
        "weights": sha256_file(run / WEIGHTS),
        "num_images": {"train": said["data"]["num_train"], "val": said["data"]["num_val"]},
        "history": {
            "epochs": said["num_epochs"],
            "best_epoch": best.get("epoch"),
            "metric": said["metric"],
            "value": best.get(said["metric"]),
            "collapses": said["collapses"],
        },
        **_where(said["hardware"]),
    }


def audit_result(cell: Cell, run: Path, start: Path | None, log: Log) -> dict[str, Any]:
    """Audit what the run `start` trained, in the folder run."""
    assert start is not None  # an audit needs its training
    recipe = from_plain(AuditRecipe, cell.recipe)
    recipe = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, name=str(start)))
    setup = resolve(recipe)
    run_audit(setup, run, dump(recipe), _lines(log), tuple(CHOICES[cell.checks]))
    records, content = Records.read(run / "records.parquet"), read_json(run / "audit.json")
    clean, images = records.clean, setup.images
    return {
        "weights": sha256_file(start / WEIGHTS),
        "num_parameters": content["model"]["num_parameters"],
        "num_images": len(clean),
        "num_groups": content["data"]["num_groups"],
        "classes": list(images.classes),
        "positive_class": content["data"]["positive_class"],
        "protocol": records.protocol,
        "image_ids": [str(name) for name in clean["image_id"]],
        "groups": [str(name) for name in clean["group_id"]],
        "labels": clean["label"].astype(int).tolist(),
        "conditions": list(conditions(records, setup)),
        "sensitivity": _sensitivity(records),
        "findings": [
            {name: row[name] for name in ("id", "severity", "title", "evidence")} for row in content["findings"]
        ],
        "quotable": content["quotable"],
        "cost": content["cost"],
        **_where(content["provenance"]["hardware"]),
    }


def _where(said: str) -> dict[str, Any]:
    return {
        "hardware": said or hardware(),
        "threads": get_num_threads(),
        "versions": versions(),
        "commit": commit(),
        "finished": now(),
    }


def _lines(log: Log) -> Callable[[str, int, int], None]:
    """Progress as lines of a log, one at each tenth."""
    last: dict[str, int] = {}

    def report(what: str, done: int, of: int) -> None:
        tenth = 10 * done // max(of, 1)
        if last.get(what) != tenth:
            last[what] = tenth
            log(f"{what}: {done} of {of}")

    return report


def conditions(records: Records, setup: Setup) -> Iterator[dict[str, Any]]:
    """Every condition that was measured: the unchanged images, each attack at each budget, and the worst case.

    Under protocol paper an attack stands by itself, with the answers to its own images, and there is no worst case.
    Under protocol honest an attack has its accuracy alone, counted as `records.curves` counts it; every metric is that
    of the worst case.
    """
    clean, positive = records.clean, setup.images.positive_index
    how = Reading(clean["label"], Grouping(clean["group_id"]), 1 if positive is None else positive)
    first = untouched(records)
    right = first.prediction == clean["label"]
    yield _condition(NONE, first, how, right, np.zeros(len(right), dtype=bool))
    for curve in curves(records):
        said = records.matrix(curve.attack, curve.norm, "prediction")[1].astype(int)
        for column, epsilon in enumerate(curve.epsilons.tolist()):
            flipped = said[:, column] != first.prediction
            if records.honest:
                found = {"accuracy": curve.estimates()[column].as_dict()}
                yield _row(curve.attack, curve.norm, epsilon, found, curve.counted[:, column], flipped, said[:, column])
                continue
            answers = _answers(records, curve.attack, curve.norm, epsilon, said[:, column], first)
            yield _condition(curve.attack, answers, how, curve.counted[:, column], flipped)
    for norm in records.norms if records.honest else ():
        counted = worst_case(records, norm).counted
        for column, answers in enumerate(worst_answers(records, norm)):
            yield _condition(WORST, answers, how, counted[:, column], answers.prediction != first.prediction)


def _answers(
    records: Records, attack: str, norm: str, epsilon: float, prediction: np.ndarray, first: Answers
) -> Answers:
    """The answers to the images of one attack at one budget, in the order of the data set."""
    rows = records.where(attack=attack, norm=norm, epsilon=epsilon)
    place = {name: i for i, name in enumerate(records.clean["image_id"].tolist())}
    scores = np.empty_like(first.scores)
    scores[[place[name] for name in rows["image_id"].tolist()]] = rows["scores"]
    return Answers(norm, epsilon, prediction, scores, np.eye(scores.shape[1], dtype=bool)[prediction])


def _condition(attack: str, answers: Answers, how: Reading, correct: np.ndarray, flipped: np.ndarray) -> dict[str, Any]:
    found = {name: estimate.as_dict() for name, estimate in all_metrics(answers, how).items()}
    return _row(attack, answers.norm, answers.epsilon, found, correct, flipped, answers.prediction)


def _row(
    attack: str,
    norm: str,
    epsilon: float,
    metrics: Mapping[str, Any],
    correct: np.ndarray,
    flipped: np.ndarray,
    answers: np.ndarray,
) -> dict[str, Any]:
    return {
        "attack": attack,
        "norm": norm,
        "epsilon": epsilon,
        "metrics": dict(metrics),
        "correct": pack(correct),
        "flipped": pack(flipped),
        "answers": pack_classes(answers.tolist()),
    }


def _sensitivity(records: Records) -> dict[str, Any]:
    norm = records.norms[0]
    found = sensitivity(records, norm)
    lists = {"epsilon_flip": found.epsilon_flip, "epsilon_wrong": found.epsilon_wrong}
    return {"norm": norm} | {
        name: [round(value, DIGITS + 4) if math.isfinite(value) else None for value in values.tolist()]
        for name, values in lists.items()
    }
