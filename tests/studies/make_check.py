"""A small study folder whose numbers can be computed in one's head."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medrobust.study.read import CELL_SCHEMA, STUDY_SCHEMA, pack

NUM = 20  # images
AXES = {
    "data": ["xray", "oct"],
    "model": ["small", "large"],
    "training": ["standard", "adversarial"],
    "split": ["0", "1"],
}
HEADER = "table,row,column,metric,reported,spread,unit,select"


def right(num: int) -> np.ndarray:
    """(NUM,) bool, the first so many images are read correctly."""
    return np.arange(NUM) < num


def condition(attack: str, epsilon: float, num_right: int, **metrics: Any) -> dict[str, Any]:
    """A condition whose interval of accuracy is 0.1 to each side."""
    value = num_right / NUM
    accuracy = {"value": value, "low": value - 0.1, "high": value + 0.1}
    more = {name: {"value": v, "low": v - 0.1, "high": v + 0.1} for name, v in metrics.items()}
    return {
        "attack": attack,
        "norm": "" if attack == "none" else "linf",
        "epsilon": epsilon,
        "metrics": {"accuracy": accuracy, **more},
        "correct": pack(right(num_right)),
        "flipped": pack(~right(num_right)),
    }


def result(conditions: Sequence[Mapping[str, Any]], protocol: str, images: str = "a", **more: Any) -> dict[str, Any]:
    """result.json of an audit cell."""
    return {
        "schema": CELL_SCHEMA,
        "kind": "audit",
        "num_parameters": 1234,
        "num_images": NUM,
        "num_groups": NUM,
        "classes": ["no", "yes"],
        "positive_class": "yes",
        "protocol": protocol,
        "image_ids": [f"{images}{i}" for i in range(NUM)],
        "groups": [f"{images}{i}" for i in range(NUM)],
        "labels": [i % 2 for i in range(NUM)],
        "conditions": list(conditions),
        # The last image flips first.
        "sensitivity": {"norm": "linf", "epsilon_flip": [None, *((NUM - i) / 255 for i in range(1, NUM))]},
        "findings": [],
        "quotable": {"value": "yes", "why": ["all was shown"]},
        **more,
    }


class Folder:
    """A study folder that is written job by job."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.folder, self.jobs = folder, []  # type: Path, list[dict[str, Any]]
        self.study = {
            "schema": STUDY_SCHEMA,
            "study": "small2030",
            "profile": "cpu",
            "title": "A small study",
            "paper": {
                "authors": "A. Author, B. Author",
                "year": 2030,
                "doi": "10.1000/1",
                "headline": "Small is good.",
            },
            "axes": {**AXES, "data": ["xray"]},
            "all_axes": AXES,
            "conditions": {"pgd20": {"attack": "pgd", "norm": "linf", "epsilon": 1 / 255}},
            "hypotheses": [],
            "cannot": [],
            **more,
        }

    def add(
        self, axes: str, protocol: str, found: Mapping[str, Any] | None, error: str = "", cannot: str | None = None
    ) -> None:
        """A job: done with this result, failed with this error, not to be run, or missing."""
        names = dict(part.split("=") for part in axes.split())
        key = f"{len(self.jobs):012x}"
        self.jobs.append({"axes": names, "protocol": protocol, "train": f"t{key}", "audit": key, "cannot": cannot})
        cell = self.folder / "cells" / f"{key}-{'-'.join(names.values())}"
        if found is not None or error:
            cell.mkdir(parents=True)
        if found is not None:
            (cell / "result.json").write_text(json.dumps(found))
        if error:
            (cell / "error.json").write_text(json.dumps({"error": error, "when": 0}))

    def write(self, rows: Sequence[str] | None = None) -> Path:
        """study.json, and expected.csv where rows are given."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "study.json").write_text(json.dumps(self.study | {"jobs": self.jobs}))
        if rows is not None:
            (self.folder / "expected.csv").write_text("\n".join([HEADER, *rows]) + "\n")
        return self.folder


def small(folder: Path, **more: Any) -> Folder:
    """Of xray: two networks, two splits on different images, standard training done, adversarial partly.

    Accuracy of small under pgd at 1/255 is 0.5 and 0.7 in the two splits as published, 0.4 and 0.6 honestly; of
    large 0.2 and 0.2. On unchanged images it is 0.9 and 0.9, of large 0.8 and 1.0.
    """
    made = Folder(folder, **more)
    clean = {"small": (18, 18), "large": (16, 20)}
    attacked = {"paper": {"small": (10, 14), "large": (4, 4)}, "honest": {"small": (8, 12), "large": (2, 2)}}
    for protocol in ("paper", "honest"):
        attack = "pgd" if protocol == "paper" else "worst"
        for model in ("small", "large"):
            for split in (0, 1):
                found = [
                    condition("none", 0.0, clean[model][split], f1=0.5, balanced_accuracy=0.75),
                    condition(attack, 1 / 255, attacked[protocol][model][split], mean_average_precision=0.25),
                    condition(attack, 2 / 255, 2),
                ]
                axes = f"data=xray model={model} training=standard split={split}"
                made.add(axes, protocol, result(found, protocol, "ab"[split]))
        axes = "data=xray model=small training=adversarial split="
        found = [condition("none", 0.0, 16), condition(attack, 1 / 255, 15)]
        made.add(axes + "0", protocol, result(found, protocol, "a"))
        made.add(axes + "1", protocol, None)
        axes = "data=xray model=large training=adversarial split="
        made.add(axes + "0", protocol, None, error="/home/someone/data/x.png: no such file")
        made.add(axes + "1", protocol, None, cannot="needs a larger machine")
    return made
