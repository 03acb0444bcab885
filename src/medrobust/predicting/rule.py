"""The rule saved with a model: below which certainty an image goes to a person, and where a class begins."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..files import read_json, write_json
from ..models.checkpoint import find_checkpoint
from ..records.intervals import Grouping
from ..records.referral import Answers
from .scores import BELOW, SCORES

FILE, SCHEMA = "referral.json", "medrobust.referral/1"
WANTED = ("rate", "accuracy", "sensitivity")


@dataclass(frozen=True)
class Rule:
    """Which images are referred.

    Args:
        score: confidence, entropy or smallest_change.
        threshold: images below it are referred; for entropy, those above it.
        wanted: what it was chosen for, one of rate, accuracy and sensitivity.
        reached: rate, accuracy and sensitivity on the images that it was chosen on, with their intervals.
        chosen_on: name, split, number of images and groups, and SHA-256 of those images.
        model_sha256: of the weights that it was chosen for.
        attack: how the smallest change is looked for.
        operating_point: of two classes, where the positive one begins; see operating_point.
    """

    score: str
    threshold: float
    wanted: Mapping[str, float]
    reached: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    chosen_on: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    model_sha256: str = ""
    attack: Mapping[str, Any] | None = None
    operating_point: Mapping[str, Any] | None = None

    def refers(self, values: np.ndarray) -> np.ndarray:
        """(n,) bool, of scores (n,).

        Example:
            >>> Rule("confidence", 0.8, {"rate": 0.5}).refers(np.array([0.7, 0.8, 0.9])).tolist()
            [True, False, False]
        """
        found: np.ndarray = values < self.threshold if BELOW[self.score] else values > self.threshold
        return found


def choose(
    score: str,
    values: np.ndarray,
    correct: np.ndarray,
    answers: Answers,
    groups: np.ndarray,
    wanted: Mapping[str, float],
) -> Rule:
    """The rule that refers as few images as what is wanted takes.

    Args:
        score: the name of the score.
        values: (n,) scores.
        correct: (n,) bool, whether the answer is right.
        answers: labels, predictions and probabilities.
        groups: (n,) the group of each image.
        wanted: {"rate": r}, the share of images that is referred, of tied scores none more; {"accuracy": a} or
            {"sensitivity": s}, the least of those kept.

    Errors: UserError when no threshold gives it.
    """
    (kind, goal), n = next(iter(wanted.items())), len(values)
    if kind not in WANTED or not 0 <= goal <= 1:
        raise UserError("refer", f"{kind}={goal} cannot be had", "give one of rate, accuracy, sensitivity, from 0 to 1")
    certainty = values if BELOW[score] else -values
    ordered = np.sort(certainty)
    most = math.floor(goal * n + 0.5 + 1e-9) if kind == "rate" else n - 1
    # Between two images whose scores differ; before all of them, where nothing is referred.
    cuts = [0, *(k for k in range(1, min(most, n - 1) + 1) if ordered[k - 1] < ordered[k])]
    for k in cuts[-1:] if kind == "rate" else cuts:
        threshold = _between(ordered, k)
        rule = Rule(score, threshold if BELOW[score] else -threshold, dict(wanted))
        reached = _reached(rule.refers(values), correct, answers, groups)
        value = reached[kind]["value"]
        if kind == "rate" or (value is not None and value >= goal):
            return dataclasses.replace(rule, reached=reached)
    raise UserError("refer", f"no threshold of {score} gives {kind} {goal:g} on these {n} images", "ask for less")


def _between(ordered: np.ndarray, k: int) -> float:
    if k == 0:
        return float(ordered[0]) if math.isfinite(ordered[0]) else 0.0
    below, above = float(ordered[k - 1]), float(ordered[k])
    return (below + above) / 2 if math.isfinite(above) else math.nextafter(below, math.inf)


def _reached(referred: np.ndarray, correct: np.ndarray, answers: Answers, groups: np.ndarray) -> dict[str, Any]:
    kept = np.flatnonzero(~referred)
    return {
        "rate": Grouping(groups).mean(referred).as_dict(),
        "accuracy": Grouping(groups[kept]).mean(correct[kept]).as_dict(),
        "sensitivity": answers.sensitivity(kept, groups),
    }


def operating_point(answers: Answers, groups: np.ndarray, sensitivity: float | None = None) -> dict[str, Any]:
    """Of two classes, the probability from which the answer is the positive one.

    With a wanted sensitivity it is the largest threshold that gives it; else the one of the largest sensitivity +
    specificity (Youden 1950, doi:10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3), of several the largest.

    Errors: UserError for more classes, or images of one class.

    Example:
        >>> p = np.array([0.1, 0.4, 0.35, 0.8])
        >>> answers = Answers(np.array([0, 0, 1, 1]), np.zeros(4, int), np.stack([1 - p, p], 1))
        >>> operating_point(answers, np.arange(4), 1.0)["threshold"]
        0.35
    """
    truth, p = answers.labels == answers.positive, answers.scores[:, answers.positive].astype(np.float64)
    if answers.scores.shape[1] != 2 or truth.all() or not truth.any():
        raise UserError("refer", "an operating point is of two classes, with images of both", "leave it out")
    best, chosen = -1.0, 0.0
    for threshold in np.unique(p)[::-1]:
        hit, miss = float((p >= threshold)[truth].mean()), float((p >= threshold)[~truth].mean())
        if sensitivity is not None and hit >= sensitivity:
            chosen = float(threshold)
            break
        if sensitivity is None and hit - miss > best + 1e-12:
            best, chosen = hit - miss, float(threshold)
    said, grouping = p >= chosen, Grouping(groups)
    return {
        "threshold": chosen,
        "wanted": "youden" if sensitivity is None else {"sensitivity": sensitivity},
        "sensitivity": grouping.mean(said, truth).as_dict(),
        "specificity": grouping.mean(~said, ~truth).as_dict(),
    }


def write_rule(folder: Path, rule: Rule) -> Path:
    """Save a rule beside the card of a checkpoint; whole or not at all."""
    write_json(folder / FILE, {"schema": SCHEMA, **dataclasses.asdict(rule)})
    return folder / FILE


def read_rule(model: str | Path) -> Rule | None:
    """The rule of a checkpoint folder; None where none was saved.

    Errors: UserError when its file is no such rule.
    """
    folder = find_checkpoint(model)
    if folder is None or not (folder / FILE).is_file():
        return None
    path = folder / FILE
    content = read_json(path)
    names = [field.name for field in dataclasses.fields(Rule)]
    if not isinstance(content, dict) or content.get("schema") != SCHEMA or not set(names) <= set(content):
        raise UserError(str(path), f"is not a {SCHEMA} rule", "write it again with medrobust refer")
    rule = Rule(**{name: content[name] for name in names})
    numbers = isinstance(rule.threshold, (int, float)) and math.isfinite(rule.threshold)
    if rule.score not in SCORES or not numbers or isinstance(rule.threshold, bool):
        raise UserError(str(path), "has no known score or no threshold", "write it again with medrobust refer")
    return rule
