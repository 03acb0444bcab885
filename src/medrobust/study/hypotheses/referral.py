"""A claim that the images kept are read better when the most sensitive ones go to a person."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import numpy as np

from ...errors import UserError
from ...numbers import parse_number
from ...records.intervals import Grouping
from ..read import Study
from ..select import condition_words, full_key, group_names
from .draws import Dropped, drop, random_drop
from .judged import Judged, absent, not_run, p_words, points, seen_words, verdict_of
from .power import visible_normal


def referral(study: Study, given: Mapping[str, Any], protocol: str) -> Judged:
    """Accuracy on the images kept, when the most sensitive fraction is dropped, less accuracy on all.

    The smallest change that flips the answer says what is dropped, the smallest first; equal ones by the name of the
    image. An image that nothing flips is dropped last. The interval draws groups of images, and drops anew in each.
    p: exact, of dropping as many images at random, where each image is in one group of its own and in one cell; else of
    a normal distribution with the standard error of the draws.

    Errors: UserError for a metric other than accuracy, or a fraction that is not between 0 and 1.
    """
    place = f"hypotheses.{given['name']}"
    if str(given.get("metric", "accuracy")) != "accuracy":
        raise UserError(f"{place}.metric", "what referral changes is judged by accuracy", "write metric: accuracy")
    fraction = parse_number(given["fraction"], f"{place}.fraction")
    if not 0 < fraction < 1:
        raise UserError(f"{place}.fraction", f"{fraction:g} is no fraction of images", "give one between 0 and 1")
    given = {**given, "fraction": fraction}
    where = given.get("where", {})
    key = study.condition_of(where, protocol)
    outcomes = study.select(where, protocol)
    if not outcomes:
        return not_run(given, protocol, absent(study, [where], protocol))
    key = full_key(key, outcomes)
    correct, keys, names, groups = [], [], [], []
    for one in outcomes:
        condition, sensitivity = one.condition(*key), one.result.get("sensitivity")
        if condition is None or not sensitivity:
            continue
        flips = sensitivity["epsilon_flip"]
        correct.append(one.correct(condition))
        keys.append(np.array([math.inf if value is None else float(value) for value in flips]))
        names.append(np.array([str(name) for name in one.result["image_ids"]]))
        groups.append(group_names(one))
    if not correct:
        return not_run(given, protocol, f"sensitivity or {condition_words(key)} was not measured")
    return _judge(given, protocol, drop(correct, keys, names, groups, fraction), correct, groups, condition_words(key))


def _judge(
    given: Mapping[str, Any],
    protocol: str,
    found: Dropped,
    correct: list[np.ndarray],
    groups: list[np.ndarray],
    condition: str,
) -> Judged:
    hits, chance = random_drop(correct, float(given["fraction"]))
    grouping = Grouping(np.concatenate(groups))
    change = found.change
    if grouping.clustered:
        p = (
            1.0
            if change.value == 0
            else 2 * NormalDist().cdf(-abs(change.value) / found.error)
            if found.error
            else math.nan
        )
    else:
        kept = round(found.kept * found.num_kept)
        p = min(1.0, 2 * float(min(chance[hits >= kept].sum(), chance[hits <= kept].sum())))
    below = np.cumsum(chance)
    usual = [hits[np.searchsorted(below, level)] / found.num_kept - found.all for level in (0.025, 0.975)]
    verdict = verdict_of(change.low, change.high, p)
    num = len(correct)
    answers = "images" if num == 1 else f"answers of {num} networks"
    words = (
        f"Of {found.num_all} {answers} ({condition}), {100 * found.all:.1f} % are right; of the {found.num_kept} kept "
        f"when the most sensitive {float(given['fraction']):.0%} are dropped, {100 * found.kept:.1f} %: "
        f"{points(change.value, change.low, change.high)}, {p_words(p)}. Dropping as many at random changes nothing on "
        f"average, and lies between {points(float(usual[0]))} and {points(float(usual[1]))} in 95 of 100 draws."
    )
    seen = seen_words(
        "change", visible_normal(found.error) if found.error else math.nan, f"these {found.num_all} {answers}"
    )
    return Judged(
        str(given["name"]), str(given.get("claim", "")), protocol, verdict, change.value, change.low, change.high, p,
        seen, words, num, "referral",
    )  # fmt: skip
