"""What each subgroup reads well and badly, untouched and attacked, and whether the worst is worse than the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from .intervals import UNDEFINED, Estimate, Grouping, design_effect
from .metrics import rate
from .per_class import Reading
from .worst_answers import Answers

FEWEST_IMAGES, FEWEST_GROUPS = 10, 5
CORRECTION = "Bonferroni over the groups of the column that are not too small (one comparison where there are two)"


def subgroups(
    columns: Mapping[str, np.ndarray], answers: Sequence[Answers], how: Reading, positive: int | None
) -> dict[tuple[str, str], dict[str, Any]]:
    """For each value of each column: accuracy, sensitivity and specificity of each of the answers.

    A value of fewer than FEWEST_IMAGES images or FEWEST_GROUPS groups is too small: its numbers are null. `worst_at`
    of a value says where it has the lowest accuracy of its column, and compares it with all other images of the
    column: their difference (square-and-add of the Wilson intervals, Newcombe 1998,
    doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I), and a score test on effective numbers of
    images (Rao & Scott 1992, doi:10.2307/2532311), whose p is corrected for the number of groups.

    Args:
        columns: name -> (n,) words.
        answers: to the unchanged images and of the worst cases.
        how: what they are judged by.
        positive: the class that sensitivity and specificity speak of; neither is given without one.

    Returns (column, value) -> num_groups, too_small, metrics, worst_at.

    Example:
        >>> y = np.arange(80) % 2
        >>> read = np.where(np.arange(80) < 12, 1 - y, y)
        >>> answers = Answers("", 0.0, read, np.eye(2)[read], np.eye(2, dtype=bool)[read])
        >>> sex = np.array(["f"] * 40 + ["m"] * 40, dtype=object)
        >>> found = subgroups({"sex": sex}, [answers], Reading(y, Grouping(np.arange(80))), 1)
        >>> found["sex", "f"]["worst_at"][0]["difference"]["value"], found["sex", "m"]["worst_at"]
        (-0.3, [])
    """
    out: dict[tuple[str, str], dict[str, Any]] = {}
    for column, values in columns.items():
        masks = {value: values == value for value in sorted(set(values.tolist()))}
        for value, mask in masks.items():
            num = Grouping(how.grouping.of[mask]).num_groups
            small = int(mask.sum()) < FEWEST_IMAGES or num < FEWEST_GROUPS
            out[column, value] = {"num_groups": num, "too_small": small, "metrics": [], "worst_at": []}
        large = [value for value in masks if not out[column, value]["too_small"]]
        for one in answers:
            right = one.prediction == how.labels
            for value, mask in masks.items():
                out[column, value]["metrics"].append(_metrics(one, how, mask, positive, value in large))
            if len(large) > 1:
                worst = min(large, key=lambda value: right[masks[value]].mean())
                found = _against(right, masks[worst], how.grouping, 1 if len(masks) == 2 else len(large))
                out[column, worst]["worst_at"].append(_where(one) | found)
    return out


def _where(answers: Answers) -> dict[str, Any]:
    return {"norm": answers.norm or None, "epsilon": answers.epsilon}


def _metrics(answers: Answers, how: Reading, mask: np.ndarray, positive: int | None, known: bool) -> dict[str, Any]:
    read, grouping = how.read(answers), how.grouping
    asked = {"accuracy": (answers.prediction == how.labels, mask)}
    if positive is not None:
        own, called = how.labels == positive, read == positive
        asked |= {"sensitivity": (called, mask & own), "specificity": (~called, mask & ~own)}
    found = {name: rate(hit, among, grouping).found if known else UNDEFINED for name, (hit, among) in asked.items()}
    return _where(answers) | {name: e.as_dict() for name, e in found.items()}


def _against(right: np.ndarray, mask: np.ndarray, grouping: Grouping, num_compared: int) -> dict[str, Any]:
    """Images of a group against all others."""
    own, rest = grouping.mean(right, mask), grouping.mean(right, ~mask)
    difference = apart(own, rest)
    numbers = [_effective(right, among, grouping) for among in (mask, ~mask)]
    together = (own.value * numbers[0] + rest.value * numbers[1]) / sum(numbers)
    spread = math.sqrt(together * (1 - together) * sum(1 / n for n in numbers))
    p = 2 * NormalDist().cdf(-abs(difference.value) / spread) if spread > 0 else 1.0
    corrected = min(1.0, p * num_compared)
    return {"difference": difference.as_dict(), "p_value": p, "p_corrected": corrected, "num_compared": num_compared}


def _effective(right: np.ndarray, among: np.ndarray, grouping: Grouping) -> float:
    hits, sizes = grouping.sums(np.stack([right & among, among], 1)).T
    return float(among.sum()) / design_effect(hits[sizes > 0], sizes[sizes > 0])


def apart(a: Estimate, b: Estimate) -> Estimate:
    """a - b of independent shares, by square-and-add of the distances to their ends.

    Example:
        >>> from .intervals import wilson
        >>> e = apart(wilson(56, 70), wilson(48, 80)); round(e.value, 4), round(e.low, 4), round(e.high, 4)
        (0.2, 0.0524, 0.3339)
    """
    value = a.value - b.value
    low = value - math.hypot(a.value - a.low, b.high - b.value)
    return Estimate(value, low, value + math.hypot(a.high - a.value, b.value - b.low))
