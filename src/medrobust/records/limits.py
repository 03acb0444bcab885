"""Acceptance limits that were written down before a change, and whether the change keeps them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UserError, nearest
from ..numbers import parse_number
from .intervals import Estimate

METRICS = ("accuracy", "robust_accuracy", "sensitivity", "specificity", "auroc")
MET, NOT_MET, UNDECIDED = "met", "not met", "undecided"
KEYS = ("metric", "norm", "epsilon", "at_least", "no_worse_than")
CLOSE = 1e-6  # of two budgets that are the same, relative


@dataclass(frozen=True)
class Limit:
    """What one metric of the new classifier must keep.

    Args:
        metric: one of METRICS; robust_accuracy is accuracy at a budget.
        norm, epsilon: the budget; None for unchanged images.
        at_least: the metric itself.
        no_worse_than: a margin by which it may be below the old classifier's.
    """

    metric: str
    norm: str | None = None
    epsilon: float | None = None
    at_least: float | None = None
    no_worse_than: float | None = None

    @property
    def words(self) -> str:
        """The limit as a sentence."""
        where = "untouched" if self.norm is None else f"{self.norm} {self.epsilon:.6g}"
        if self.at_least is not None:
            return f"{self.metric} ({where}) at least {self.at_least:g}"
        return f"{self.metric} ({where}) no worse than {self.no_worse_than:g} below the old one"

    def judge(self, new: Estimate, change: Estimate) -> str:
        """met where the whole interval keeps the limit, not met where none of it does, else undecided.

        Args:
            new: the metric of the new classifier.
            change: by how much it is above the old one's.

        Example:
            >>> Limit("accuracy", no_worse_than=0.05).judge(Estimate(0.9, 0.8, 0.95), Estimate(-0.01, -0.04, 0.02))
            'met'
            >>> Limit("accuracy", at_least=0.85).judge(Estimate(0.9, 0.8, 0.95), Estimate(0.0, -0.1, 0.1))
            'undecided'
        """
        found, least = (new, self.at_least) if self.at_least is not None else (change, -float(self.no_worse_than or 0))
        if least is None or math.isnan(found.value):
            return UNDECIDED
        return MET if found.low >= least else NOT_MET if found.high < least else UNDECIDED


def limits_of(given: Any, place: str = "limits") -> list[Limit]:
    """Limits from plain data: a list of mappings {metric, norm, epsilon, at_least or no_worse_than}.

    Errors: UserError for what is not such a list, an unknown key or metric, or a number that cannot be.

    Example:
        >>> limits_of([{"metric": "accuracy", "norm": "linf", "epsilon": "1/255", "no_worse_than": "2%"}])[0].words
        'accuracy (linf 0.00392157) no worse than 0.02 below the old one'
    """
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise UserError(place, "is not a list of limits", "write for example [{metric: accuracy, at_least: 0.9}]")
    return [_limit(one, f"{place}[{i}]") for i, one in enumerate(given)]


def _limit(one: Any, place: str) -> Limit:
    if isinstance(one, Limit):
        return one
    if not isinstance(one, Mapping):
        raise UserError(place, f"{one!r} is not a mapping", "write {metric: accuracy, at_least: 0.9}")
    for key in one:
        if key not in KEYS:
            raise UserError(f"{place}.{key}", "unknown key", nearest(str(key), KEYS))
    metric = one.get("metric")
    if metric not in METRICS:
        raise UserError(f"{place}.metric", f"{metric!r} is not compared", nearest(str(metric), METRICS))
    if ("at_least" in one) == ("no_worse_than" in one):
        raise UserError(place, "needs one of at_least and no_worse_than")
    if ("norm" in one) != ("epsilon" in one) or (metric == "robust_accuracy" and "norm" not in one):
        raise UserError(place, "a budget is a norm and an epsilon", "give both, or none for unchanged images")
    numbers = {key: parse_number(one[key], f"{place}.{key}") for key in KEYS[2:] if key in one}
    for key, value in numbers.items():
        if not (value >= 0 and (key == "epsilon" or value <= 1)):
            raise UserError(f"{place}.{key}", f"{value:g} cannot be", "shares are from 0 to 1, budgets not below 0")
    return Limit(str(metric), one.get("norm"), **numbers)


def same_budget(limit: Limit, norm: str | None, epsilon: float) -> bool:
    """Whether a limit speaks of this budget; unchanged images have the norm None."""
    return limit.norm == norm and (norm is None or math.isclose(limit.epsilon or 0.0, epsilon, rel_tol=CLOSE))
