"""Which outcomes of a study a selection means, and which of them belong together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UserError, nearest
from ..numbers import epsilon_text
from ..records.intervals import Grouping
from .read import CONDITIONS, NONE, WORST, Key, Outcome, Study, values_of

NO_COMMON = "the cells have no images in common"
SHARES = ("accuracy", "sensitivity", "specificity")  # metrics that follow from which images are read correctly


@dataclass(frozen=True)
class Pooled:
    """Two sides on the same images, image by image, over all pairs of outcomes.

    Args:
        a, b: (n,) bool, which images each side reads correctly.
        among: (n,) bool, the images that the metric speaks of.
        groups: (n,) the group of each image. A group is the same in every pair: an image that two networks read is
            one image.
        each: of every pair the difference b - a.
        num_images: different images among those that the metric speaks of.
    """

    a: np.ndarray
    b: np.ndarray
    among: np.ndarray
    groups: np.ndarray
    each: tuple[float, ...]
    num_images: int

    @property
    def grouping(self) -> Grouping:
        """The groups, as intervals ask for them."""
        return Grouping(self.groups)


def check_where(study: Study, where: Mapping[str, Any], place: str) -> None:
    """Refuse a selection that names an axis or a value that the study does not have.

    Errors: UserError that names the nearest valid word.
    """
    if not isinstance(where, Mapping):
        raise UserError(place, f"{where!r} is no selection", "write {axis: value}")
    for key, value in where.items():
        if key in CONDITIONS:
            continue
        if key not in study.all_axes:
            raise UserError(f"{place}.{key}", "no axis of this study", nearest(key, [*study.all_axes, *CONDITIONS]))
        for one in values_of(value):
            if one not in study.all_axes[key]:
                raise UserError(f"{place}.{key}", f"no value {one!r} on this axis", nearest(one, study.all_axes[key]))


def rest(outcome: Outcome, without: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Where an outcome stands on the axes that are not compared."""
    return tuple(sorted((key, value) for key, value in outcome.axes.items() if key not in without))


def along(study: Study, sides: Sequence[Mapping[str, Any]], protocol: str) -> tuple[list[list[Outcome]], int]:
    """The outcomes of several selections at the same values of all other axes.

    Args:
        sides: whole selections; the axes in which they differ are compared, all others are pooled.
        protocol: paper or honest.

    Errors: UserError where a side means several outcomes at one place.

    Returns a list for each side, all of the same length and order, and how many more places some side has but not all.
    """
    axes = [{key: value for key, value in side.items() if key in study.all_axes} for side in sides]
    keys = {key for side in axes for key in side}
    differ = [key for key in keys if any(side.get(key) != axes[0].get(key) for side in axes)]
    lists = [study.select(side, protocol) for side in sides]
    by = [{rest(one, differ): one for one in found} for found in lists]
    if any(len(found) != len(own) for found, own in zip(lists, by, strict=True)):
        raise UserError("hypotheses", "one side names an axis that another leaves open", "name the same axes on all")
    common = sorted(set(by[0]).intersection(*by[1:]))
    return [[found[place] for place in common] for found in by], len(set().union(*by)) - len(common)


def group_names(outcome: Outcome) -> np.ndarray:
    """(n,) the group of each image, its own name where it has none: the same in every outcome."""
    groups, names = outcome.result.get("groups"), outcome.result["image_ids"]
    return np.array(
        [f"image {name}" if group in (None, "") or group != group else f"group {group}" for group, name in
         zip(groups or [None] * len(names), names, strict=True)]
    )  # fmt: skip


def among(outcome: Outcome, metric: str) -> np.ndarray | None:
    """(n,) bool, the images whose share that are read correctly is this metric; None where it is no such share."""
    labels = np.asarray(outcome.result["labels"], dtype=int)
    if metric == "accuracy":
        return np.ones(len(labels), dtype=bool)
    classes, positive = list(outcome.result["classes"]), outcome.result.get("positive_class")
    if metric not in SHARES or positive not in classes:
        return None
    if metric == "specificity" and len(classes) != 2:
        return None  # an image of another class may be read wrongly and still not as the positive one
    own: np.ndarray = labels == classes.index(positive)
    return own if metric == "sensitivity" else ~own


def places(outcomes: list[Outcome]) -> list[np.ndarray]:
    """Of several outcomes, where the images that all of them have stand in each.

    Errors: UserError where an image has not the same label in all.
    """
    index = [{str(name): i for i, name in enumerate(one.result["image_ids"])} for one in outcomes]
    common = [name for name in index[0] if all(name in other for other in index[1:])]
    found = [np.array([own[name] for name in common], dtype=int) for own in index]
    labels = [np.asarray(one.result["labels"])[at] for one, at in zip(outcomes, found, strict=True)]
    for other in labels[1:]:
        if not np.array_equal(labels[0], other):
            raise UserError("study", "an image has two labels in two cells", "run the cells again on one data set")
    return found


def pool(a: list[Outcome], b: list[Outcome], at: tuple[Key, Key], metric: str) -> tuple[Pooled | None, str]:
    """The pairs of two lists, image by image.

    Args:
        a, b: outcomes, pair by pair.
        at: the condition of either side.
        metric: one of SHARES.

    Returns None and the reason where no pair can be made.
    """
    rows, each = [], []
    names: set[str] = set()
    why = "no pair of cells is done"
    for first, second in zip(a, b, strict=True):
        found = [one.condition(*key) for one, key in zip((first, second), at, strict=True)]
        mask = among(first, metric)
        if found[0] is None or found[1] is None:
            why = f"{condition_words(at[0] if found[0] is None else at[1])} was not measured"
        elif mask is None:
            why = f"{metric} needs a positive class"
        else:
            i, j = places([first, second])
            one, two = first.correct(found[0])[i], second.correct(found[1])[j]
            if not mask[i].any():
                why = NO_COMMON
                continue
            rows.append((one, two, mask[i], group_names(first)[i]))
            names.update(np.array([str(name) for name in first.result["image_ids"]])[i][mask[i]])
            each.append(float(two[mask[i]].mean() - one[mask[i]].mean()))
    if not rows:
        return None, why
    a_bits, b_bits, mask, groups = (np.concatenate(column) for column in zip(*rows, strict=True))
    return Pooled(a_bits, b_bits, mask, groups, tuple(each), len(names)), ""


def full_key(key: Key, outcomes: Iterable[Outcome]) -> Key:
    """A condition with the norm in which it was measured, where a selection names none."""
    rows = (one.condition(*key) for one in outcomes)
    return next(((key[0], str(row["norm"]), key[2]) for row in rows if row is not None), key)


def condition_words(key: Key) -> str:
    """A condition as it stands in a sentence.

    Example:
        >>> condition_words(("pgd", "linf", 1 / 255)), condition_words(("worst", "", 0.3))
        ('pgd at linf 1/255', 'the worst case at 0.3')
    """
    attack, norm, epsilon = key
    if attack == NONE:
        return "the unchanged images"
    size = epsilon_text(epsilon, norm) if norm else f"{epsilon:.4g}"
    return f"{'the worst case' if attack == WORST else attack} at {norm + ' ' if norm else ''}{size}"
