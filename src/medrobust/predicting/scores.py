"""How certain an answer is: the score by which images go to a person."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from ..attacks.build import build_attack
from ..data.images.image_set import ImageSet
from ..measuring.clean import Showing
from ..measuring.measure import measure
from ..measuring.outcome import Grid
from ..measuring.plan import Plan
from ..models.classifier import Classifier
from ..numbers import DEFAULT_EPSILONS, parse_budgets
from ..progress import Report
from ..records.referral import entropy

SCORES = ("confidence", "entropy", "smallest_change")
BELOW = {"confidence": True, "entropy": False, "smallest_change": True}  # which side of the threshold is referred
ATTACK: dict[str, Any] = {"norm": "linf", "attack": "fmn", "parameters": {}, "seed": 0}


class Shown(NamedTuple):
    """How images are shown to a classifier."""

    batch_size: int
    device: str
    num_workers: int = 0


def probabilities(logits: Tensor) -> np.ndarray:
    """(n, k) float32, as the rows of an audit have them."""
    found: np.ndarray = logits.softmax(1).numpy().astype(np.float32)
    return found


def score(
    by: str,
    model: Classifier,
    images: ImageSet,
    logits: Tensor,
    how: Showing,
    attack: Mapping[str, Any] | None = None,
    report: Report | None = None,
) -> np.ndarray:
    """(n,) the score of each image: small is doubtful, large for entropy.

    Args:
        by: confidence, the probability of the answer; entropy of all probabilities; smallest_change, the size of the
            smallest change that an attack finds to change the answer, inf where it finds none.
        model, images, logits: logits (n, k) of the classifier for the images.
        how: batch size and device.
        attack: for smallest_change, as ATTACK; the largest budget is that of an audit.
        report: told of the progress of the attack.
    """
    if by == "confidence":
        found: np.ndarray = probabilities(logits).max(1).astype(np.float64)
        return found
    if by == "entropy":
        return entropy(probabilities(logits))
    said = {**ATTACK, **(attack or {})}
    norm = str(said["norm"])
    # The answer stands for the label, which is not known: what is looked for is a change of the answer.
    samples = [dataclasses.replace(s, label=int(y)) for s, y in zip(images.samples, logits.argmax(1), strict=True)]
    grid = Grid(norm, tuple(parse_budgets(DEFAULT_EPSILONS[norm], norm)))
    plan = Plan(
        {"attack": build_attack(str(said["attack"]), dict(said["parameters"]))},
        (grid,),
        seed=int(said["seed"]),
        batch_size=how.batch_size,
        device=how.device,
        precision="float32",
        num_workers=how.num_workers,
    )
    records, _ = measure(model, images.replace(samples=samples), plan, progress=report, clean=logits)
    return records.sensitivity(norm).change_flip
