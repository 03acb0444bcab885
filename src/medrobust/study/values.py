"""What an outcome says on a number of a paper, and the mean of several outcomes, each with a 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..records.intervals import Estimate, Grouping
from ..records.paired import difference
from .expected import ALL, AWARE, NUM_PARAMETERS, ROBUST_PRECISION, Wanted
from .read import Key, Outcome

DROPPED = (
    0.2  # share of the images, the most sensitive ones, that an aware subset leaves out (Joel et al. 2021, Table 2)
)

# Name in expected.csv -> the metrics of a result that are it, the first that is there. What speaks of one class of two
# is of more classes the mean over classes; of two classes, balanced accuracy is the mean of both recalls.
SAME: Mapping[str, tuple[str, ...]] = {
    "sensitivity": ("sensitivity", "macro_sensitivity", "balanced_accuracy"),
    "f1": ("f1", "macro_f1"),
    "precision": ("precision", "macro_precision"),
    "macro_sensitivity": ("macro_sensitivity", "balanced_accuracy"),
    ROBUST_PRECISION: ("mean_average_precision",),
}


class Reading(NamedTuple):
    """One outcome under one condition: its images, (n,) bool which are read correctly, and those that count."""

    outcome: Outcome
    condition: Mapping[str, Any]
    subset: str

    @property
    def correct(self) -> np.ndarray:
        return self.outcome.correct(self.condition)

    @property
    def counting(self) -> np.ndarray:
        """(n,) bool, all images or those that an aware subset keeps."""
        num = int(self.outcome.result["num_images"])
        return kept(self.outcome.result["sensitivity"]["epsilon_flip"]) if self.subset == AWARE else np.ones(num, bool)

    @property
    def grouping(self) -> Grouping:
        return Grouping(np.asarray(self.outcome.result["groups"], dtype=object))


def kept(epsilon_flip: Sequence[float | None], dropped: float = DROPPED) -> np.ndarray:
    """(n,) bool, the images left when the most sensitive ones are dropped, their number rounded half up.

    Args:
        epsilon_flip: (n,) the smallest change that flips the answer; None where none was found, which is dropped last.
        dropped: share of the images.

    Example:
        >>> kept([0.3, 0.1, None, 0.2, 0.2]).tolist()
        [True, False, True, True, True]
    """
    size = np.array([math.inf if one is None else one for one in epsilon_flip], dtype=float)
    left = np.ones(len(size), dtype=bool)
    left[np.argsort(size, kind="stable")[: math.floor(dropped * len(size) + 0.5)]] = False
    return left


def estimate_of(outcome: Outcome, wanted: Wanted, key: Key) -> Estimate | None:
    """What an outcome says on a number; None where its audit did not measure it.

    Args:
        outcome: a job that is done.
        wanted: the number; what it subtracts is ignored.
        key: attack, norm and budget.
    """
    if wanted.metric == NUM_PARAMETERS:
        num = float(outcome.result["num_parameters"])
        return Estimate(num, num, num)
    condition = outcome.condition(*key)
    if condition is None:
        return None
    if wanted.subset == AWARE:
        reading = Reading(outcome, condition, AWARE)
        return reading.grouping.mean(reading.correct, reading.counting)
    names = SAME.get(wanted.metric, (wanted.metric,))
    found = next((condition["metrics"][name] for name in names if name in condition["metrics"]), None)
    if found is None or found["value"] is None:
        return None
    low, high = (math.nan if found.get(end) is None else float(found[end]) for end in ("low", "high"))
    return Estimate(float(found["value"]), low, high)


def difference_of(pair: tuple[Outcome, Outcome], both: tuple[Wanted, Wanted], keys: tuple[Key, Key]) -> Estimate | None:
    """A number less another one; None where an audit did not measure one of them.

    Accuracies on the same images are compared image by image (`records.paired.difference`). An aware subset less all
    images is the share dropped times the accuracy on those kept less that on those dropped, which have no image in
    common. The rest is taken as independent, by square-and-add of the distances to the ends (MOVER: Zou & Donner 2008,
    doi:10.1002/sim.3095).
    """
    a, b = (estimate_of(one, wanted, key) for one, wanted, key in zip(pair, both, keys, strict=True))
    if a is None or b is None:
        return None
    if both[0].metric == "accuracy":
        first, second = (
            Reading(one, one.condition(*key) or {}, wanted.subset)
            for one, wanted, key in zip(pair, both, keys, strict=True)
        )
        same_images = first.outcome.result["image_ids"] == second.outcome.result["image_ids"]
        if same_images and first.subset == second.subset == ALL:
            return difference(second.correct, first.correct, first.grouping)
        same_answers = same_images and first.condition == second.condition
        if same_answers and (first.subset, second.subset) == (AWARE, ALL) and not first.counting.all():
            rest = first.grouping.mean(first.correct, ~first.counting)
            return _scaled(apart(a, rest), float((~first.counting).mean()))
    return apart(a, b)


def apart(a: Estimate, b: Estimate) -> Estimate:
    """a less b of independent estimates, by square-and-add.

    Example:
        >>> apart(Estimate(0.75, 0.5, 1.0), Estimate(0.5, 0.5, 0.5))
        Estimate(value=0.25, low=0.0, high=0.5)
    """
    value = a.value - b.value
    low, high = math.hypot(a.value - a.low, b.high - b.value), math.hypot(a.high - a.value, b.value - b.low)
    return Estimate(value, value - low, value + high)


def _scaled(one: Estimate, factor: float) -> Estimate:
    return Estimate(one.value * factor, one.low * factor, one.high * factor)


def pooled(units: Sequence[Sequence[Estimate]], num_sets: int, reach: tuple[float, float]) -> Estimate:
    """The mean over repetitions (splits, seeds, folds), with a t-interval over them.

    The interval is never narrower than the images allow: the mean distance of the single outcomes' values to the ends
    of their own intervals, over the root of the number of different sets of images. Repetitions on the same images
    share what these images leave open, so that their number does not make it smaller. One repetition has the
    interval of its images alone. Where the paper prints the mean of several networks, a repetition counts with theirs.

    Args:
        units: of each repetition the estimates whose mean is meant, one or more.
        num_sets: different sets of images among all of them.
        reach: what is possible; the interval ends there.

    Example:
        >>> found = pooled([[Estimate(0.5, 0.49, 0.51)], [Estimate(0.7, 0.69, 0.71)]], 2, (-9, 9))
        >>> round(found.value, 4), round(found.high - 0.6, 4)  # t(0.975, 1) = 12.7062, times 0.1414 / sqrt(2)
        (0.6, 1.2706)
    """
    means = _means(units)
    every = [one for unit in units for one in unit]
    value = float(np.mean(means))
    down, up = (
        float(np.mean([abs(one.value - end) for one, end in ends])) / math.sqrt(num_sets)
        for ends in ([(one, one.low) for one in every], [(one, one.high) for one in every])
    )
    if len(means) > 1:
        from scipy.stats import t

        half = float(t.ppf(0.975, len(means) - 1)) * float(np.std(means, ddof=1)) / math.sqrt(len(means))
        down, up = (half if math.isnan(side) else max(half, side) for side in (down, up))
    if math.isnan(down) or math.isnan(up):
        return Estimate(value, math.nan, math.nan)
    return Estimate(value, max(reach[0], value - down), min(reach[1], value + up))


def _means(units: Sequence[Sequence[Estimate]]) -> list[float]:
    return [float(np.mean([one.value for one in unit])) for unit in units]


def spread_of(units: Sequence[Sequence[Estimate]]) -> Estimate:
    """The mean over repetitions, from the lowest to the highest of them: what a figure shows.

    Example:
        >>> spread_of([[Estimate(0.5, 0.4, 0.6)], [Estimate(0.75, 0.6, 0.8)]])
        Estimate(value=0.625, low=0.5, high=0.75)
    """
    means = _means(units)
    return Estimate(float(np.mean(means)), min(means), max(means))
