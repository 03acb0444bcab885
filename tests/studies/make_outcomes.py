"""Studies in memory, for tests: a grid of networks whose answers are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medrobust.study.hypotheses import Judged, judge
from medrobust.study.hypotheses.judging import KINDS
from medrobust.study.read import Job, Outcome, Study, pack

WHERE = {"attack": "pgd"}
BETTER: dict[str, Any] = {
    "name": "new-is-better",
    "claim": "the new training is better",
    "kind": "better",
    "better": {"training": "new"},
    "than": [{"training": "old"}],
    "where": WHERE,
    "metric": "accuracy",
}
RANK: dict[str, Any] = {
    "name": "simpler",
    "claim": "simpler is more robust",
    "kind": "rank",
    "axis": "model",
    "order": ["a", "b", "c", "d", "e"],
    "where": WHERE,
    "metric": "accuracy",
}


def condition(correct: np.ndarray, attack: str = "none", epsilon: float = 0.0, **metrics: float) -> dict[str, Any]:
    """A condition of a result, with its accuracy."""
    values = {"accuracy": float(correct.mean()), **metrics}
    return {
        "attack": attack,
        "norm": "" if attack == "none" else "linf",
        "epsilon": epsilon,
        "metrics": {name: {"value": value, "low": None, "high": None} for name, value in values.items()},
        "correct": pack(correct),
        "flipped": pack(np.zeros(len(correct), bool)),
    }


def outcome(
    axes: Mapping[str, str],
    conditions: Sequence[Mapping[str, Any]],
    n: int,
    *,
    protocol: str = "honest",
    groups: Sequence[Any] | None = None,
    names: Sequence[str] | None = None,
    flips: Sequence[float | None] | None = None,
    num_parameters: int = 1000,
) -> Outcome:
    """A cell of n images, every second one positive."""
    ids = list(names) if names is not None else [f"image-{i:04d}" for i in range(n)]
    result = {
        "num_images": n,
        "num_groups": n if groups is None else len(set(groups)),
        "num_parameters": num_parameters,
        "classes": ["NORMAL", "PNEUMONIA"],
        "positive_class": "PNEUMONIA",
        "image_ids": ids,
        "groups": list(groups) if groups is not None else [None] * n,
        "labels": [i % 2 for i in range(n)],
        "conditions": list(conditions),
        "sensitivity": None if flips is None else {"norm": "linf", "epsilon_flip": list(flips), "epsilon_wrong": []},
        "findings": [],
        "quotable": {"value": "yes", "why": ""},
    }
    return Outcome(dict(axes), protocol, result)


def study(outcomes: Sequence[Outcome], hypotheses: Sequence[Mapping[str, Any]] = (), **changes: Any) -> Study:
    """A study of these outcomes; its axes are theirs."""
    axes: dict[str, tuple[str, ...]] = {}
    for one in outcomes:
        for axis, value in one.axes.items():
            axes[axis] = tuple(dict.fromkeys([*axes.get(axis, ()), value]))
    given: dict[str, Any] = {
        "name": "made",
        "profile": "cpu",
        "title": "A study",
        "paper": {},
        "axes": axes,
        "all_axes": axes,
        "conditions": {"pgd": {"attack": "pgd", "norm": "linf", "epsilon": 1 / 255}},
        "hypotheses": tuple(hypotheses),
        "cannot": (),
        "jobs": tuple(Job(one.axes, one.protocol, "t", "a") for one in outcomes),
        "outcomes": tuple(outcomes),
    }
    return Study(**{**given, **changes})


def both(axes: Mapping[str, str], attacked: np.ndarray, **options: Any) -> list[Outcome]:
    """A cell in both protocols: every unchanged image right, these right under attack."""
    n = len(attacked)
    clean = condition(np.ones(n, bool))
    made = []
    for protocol, attack in (("paper", "pgd"), ("honest", "worst")):
        found = [clean, condition(attacked, attack, 1 / 255)]
        made.append(outcome(axes, found, n, protocol=protocol, **options))
    return made


def first(count: int, n: int = 100) -> np.ndarray:
    """(n,) bool, the first ones true."""
    return np.arange(n) < count


def of(study_: Study, protocol: str = "honest") -> Judged:
    """The only hypothesis under a protocol."""
    (found,) = [one for one in judge(study_) if one.protocol == protocol]
    return found


def two(old: np.ndarray, new: np.ndarray, given: Mapping[str, Any] = BETTER, **options: Any) -> Study:
    """Two trainings, one cell each."""
    return study([*both({"training": "old"}, old, **options), *both({"training": "new"}, new, **options)], [given])


def ladder(rights: Mapping[str, np.ndarray], given: Mapping[str, Any] = RANK) -> Study:
    """Models a to e, one cell each."""
    return study([one for name, right in rights.items() for one in both({"model": name}, right)], [given])


def referring(correct: np.ndarray, flips: list[float | None], groups: list[str] | None = None, **extra: Any) -> Study:
    """A cell whose most sensitive images go to a person."""
    n = len(correct)
    given = {"name": "refer", "kind": "referral", "fraction": 0.2, "where": {}, "metric": "accuracy", **extra}
    return study([outcome({"data": "ct"}, [condition(correct)], n, flips=flips, groups=groups)], [given])


def honest(cells: list[Outcome], given: Mapping[str, Any]) -> Judged:
    """As `of`, of cells under the honest protocol alone, without the other verdict."""
    return KINDS[given["kind"]](study(cells, [given]), given, "honest")


def cell(axes: Mapping[str, str], right: np.ndarray) -> Outcome:
    """A cell under the honest protocol."""
    return outcome(axes, [condition(right, "worst", 1 / 255)], len(right))


def pair(old: np.ndarray, new: np.ndarray, given: Mapping[str, Any] = BETTER) -> Judged:
    """Two trainings under the honest protocol."""
    return honest([cell({"training": "old"}, old), cell({"training": "new"}, new)], given)
