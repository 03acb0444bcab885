"""One value of an axis against others, on the same images: is it better, or is nothing lost?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from ...numbers import parse_number
from ...records.intervals import Estimate
from ...records.paired import difference, equivalence, holm, moments, sign_flip_p
from ...report.words import counted
from ..read import Key, Outcome, Study
from ..select import NO_COMMON, SHARES, Pooled, along, condition_words, full_key, pool
from .judged import (
    ALPHA,
    CONTRADICTED,
    HOLDS,
    NOT_RUN,
    NOT_SHOWN,
    Judged,
    absent,
    floor_words,
    not_run,
    p_words,
    points,
    seen_words,
    size,
    verdict_of,
)
from .power import smallest_margin, visible_mean, visible_normal, visible_of
from .unpaired import side_of, unpaired_difference, unpaired_error, unpaired_p

MARGIN = 0.03
UNCHANGED = condition_words(("none", "", 0.0))
ORDER = (CONTRADICTED, NOT_RUN, NOT_SHOWN, HOLDS)  # the weakest link of several comparisons comes first


class Setting(NamedTuple):
    """One comparison: the hypothesis, both sides with their conditions, and how many there are in all."""

    given: Mapping[str, Any]
    protocol: str
    other: Mapping[str, Any]
    keys: tuple[Key, Key]
    metric: str
    num: int

    @property
    def level(self) -> str:
        """alpha, corrected for the number of comparisons, in words."""
        return ".05" if self.num == 1 else f".05 / {self.num}"

    @property
    def condition(self) -> str:
        """What both sides met, in words."""
        told = [condition_words(key) for key in self.keys]
        return told[1] if told[0] == told[1] else f"{told[1]} and {told[0]}"

    @property
    def opening(self) -> str:
        """The beginning of a sentence on it."""
        return "Of the unchanged images" if self.condition == UNCHANGED else f"Under {self.condition}"

    @property
    def names(self) -> tuple[str, str]:
        """Of what it is compared with, and of what is claimed to be better."""
        return _name(self.other), _name(self.given["better"])


def better(study: Study, given: Mapping[str, Any], protocol: str) -> Judged:
    """A claim that one side is better than each of others, or, of kind equal, as good as each within a margin.

    Each comparison is made on the same images at the same values of all other axes, pooled. Of accuracy, sensitivity
    and specificity: the exact sign-flip test by group, McNemar's where each group has one image, and the interval of
    `records.paired.difference`. Of other metrics: a paired t-test over the pairs of cells, as they do not follow from
    which images are read correctly. p is corrected by Holm over the comparisons. All must hold for the claim to hold.
    """
    others = given["than"] if isinstance(given["than"], (list, tuple)) else [given["than"]]
    parts = [_one(study, given, protocol, other, len(others)) for other in others]
    corrected = holm([part.p for part in parts])
    parts = [_with_verdict(part, p, given) for part, p in zip(parts, corrected, strict=True)]
    if len(parts) == 1:
        return parts[0]
    done = [part for part in parts if part.verdict != NOT_RUN]
    if not done:
        return replace(parts[0], parts=tuple(parts))
    weakest = min(parts, key=lambda part: (ORDER.index(part.verdict), part.effect))
    shown = weakest if weakest.verdict != NOT_RUN else min(done, key=lambda part: part.effect)
    verdict = NOT_SHOWN if weakest.verdict == NOT_RUN else weakest.verdict
    largest = max(part.p for part in done) if verdict != CONTRADICTED else shown.p
    seen = list(dict.fromkeys(part.power_words for part in done))
    words = " ".join(f"{part.words} ({part.verdict})" for part in parts)
    return replace(
        shown, verdict=verdict, p=largest, words=words, power_words=" ".join(seen), parts=tuple(parts),
        num_pairs=sum(part.num_pairs for part in done),
    )  # fmt: skip


def _name(side: Mapping[str, Any]) -> str:
    return " ".join(str(value) for value in side.values())


def _one(study: Study, given: Mapping[str, Any], protocol: str, other: Mapping[str, Any], num: int) -> Judged:
    where, metric = given.get("where", {}), str(given.get("metric", "accuracy"))
    sides = [{**where, **other}, {**where, **given["better"]}]
    keys = study.condition_of(sides[0], protocol), study.condition_of(sides[1], protocol)
    (first, second), missing = along(study, sides, protocol)
    if not first:
        return not_run(given, protocol, absent(study, sides, protocol))
    keys = full_key(keys[0], first), full_key(keys[1], second)
    setting = Setting(given, protocol, other, keys, metric, num)
    if metric in SHARES:
        pooled, why = pool(first, second, keys, metric)
        if pooled is not None:
            found = _of_images(setting, pooled)
        elif why == NO_COMMON:
            found = _of_other_images(setting, first, second)
        else:
            found = not_run(given, protocol, why)
    else:
        found = _of_values(setting, first, second)
    lack = "lacks" if missing == 1 else "lack"
    left_out = f"; {counted(missing, 'pair')} of cells {lack} a side" if missing and found.verdict != NOT_RUN else ""
    return replace(found, words=found.words + left_out)


def _of_images(setting: Setting, pooled: Pooled) -> Judged:
    grouping, among, given = pooled.grouping, pooled.among, setting.given
    hits = [int(side[among].sum()) for side in (pooled.b, pooled.a)]
    n, pairs = int(among.sum()), len(pooled.each)
    kind = {"accuracy": "images", "sensitivity": "positive images", "specificity": "negative images"}[setting.metric]
    what = f"{n} {kind}" if pairs == 1 else f"{n} readings of {kind} ({pairs} pairs of networks)"
    inside = f"{what} in {counted(grouping.num_groups, 'group')}" if grouping.clustered else what
    one, two = setting.names
    opening = f"{setting.opening}, {two} reads {hits[0]} of {what} correctly against {hits[1]} of {one}"
    if given["kind"] == "equal":
        estimate, p = equivalence(pooled.a, pooled.b, grouping, _margin(given), among)
        found = moments(pooled.a, pooled.b, grouping, among)
        least = smallest_margin(found.error if found else math.nan, ALPHA / setting.num)
        seen = (
            f"With {inside}, equality within {size(least)} or more would have "
            f"been shown in 8 of 10 such studies of sides that do not differ (80 % power, alpha {setting.level})."
        )
    else:
        estimate = difference(pooled.a, pooled.b, grouping, among)
        p = sign_flip_p(pooled.a, pooled.b, grouping, among)
        seen = seen_words(
            "difference",
            visible_of(pooled.a, pooled.b, grouping, among, ALPHA / setting.num),
            inside,
            setting.level,
        )
    alike = floor_words(hit / n for hit in hits) if given["kind"] == "better" else ""
    words = f"{opening}: {points(*_ends(estimate))}{alike}{_agree(pooled.each, two, str(given['kind']))}"
    return _judged(setting, estimate, p, seen, words, pairs)


def _of_other_images(setting: Setting, first: list[Outcome], second: list[Outcome]) -> Judged:
    """Where both sides have different images, as two data sets: unpaired."""
    given = setting.given
    sides = [side_of(own, key, setting.metric) for own, key in zip((first, second), setting.keys, strict=True)]
    if sides[0] is None or sides[1] is None:
        return not_run(given, setting.protocol, f"{setting.condition} was not measured on both sides")
    a, b = sides[0], sides[1]
    found, error = unpaired_difference(a, b), unpaired_error(a, b)
    equal, margin = given["kind"] == "equal", _margin(given)
    p = NormalDist().cdf((abs(found.value) - margin) / error) if equal else unpaired_p(a, b)
    one, two = setting.names
    words = (
        f"{setting.opening}, {two} reads {int(b.right.sum())} of {len(b.right)} of its images correctly, {one} "
        f"{int(a.right.sum())} of {len(a.right)} of its own: {points(*_ends(found))}; they are different images, "
        f"compared without pairs"
    )
    level = ALPHA / setting.num
    least = smallest_margin(error, level) if equal else visible_normal(error, level)
    seen = seen_words("difference", least, f"{len(a.right)} and {len(b.right)} images", setting.level)
    return _judged(setting, found, p, seen, words, len(first))


def _of_values(setting: Setting, first: list[Outcome], second: list[Outcome]) -> Judged:
    from scipy.stats import t

    given, pairs = setting.given, []
    for a, b in zip(first, second, strict=True):
        values = [metric_value(one, key, setting.metric) for one, key in zip((a, b), setting.keys, strict=True)]
        if not any(math.isnan(value) for value in values):
            pairs.append(values)
    if not pairs:
        why = f"{setting.metric} under {setting.condition} was not measured in both cells of any pair"
        return not_run(given, setting.protocol, why)
    a, b = np.array(pairs).T
    num, mean = len(pairs), float((b - a).mean())
    sd = float((b - a).std(ddof=1)) if num > 1 else math.nan
    error = sd / math.sqrt(num) if num > 1 else math.nan
    equal = given["kind"] == "equal"
    half = float(t.ppf(0.95 if equal else 0.975, num - 1)) * error if num > 1 else math.nan
    p = _t_p(mean, error, num, _margin(given) if equal else None)
    one, two = setting.names
    words = (
        f"{setting.metric} under {setting.condition} is {b.mean():.3f} for {two} and {a.mean():.3f} for "
        f"{one}: {points(mean, mean - half, mean + half, False)} (paired t-test over {counted(num, 'pair')} of cells, "
        f"not over images{'; one pair allows no test' if num < 2 else ''})"
    )
    what = f"{counted(num, 'pair')} of cells"
    seen = seen_words("difference", visible_mean(sd, num, ALPHA / setting.num), what, setting.level, share=False)
    words += _agree(tuple(float(d) for d in b - a), two, str(given["kind"]))
    return _judged(setting, Estimate(mean, mean - half, mean + half), p, seen, words, num)


def _t_p(mean: float, error: float, num: int, margin: float | None) -> float:
    """Two-sided p of no difference, or of two one-sided tests within a margin, by Student's t."""
    from scipy.stats import t

    if num < 2:
        return math.nan
    gap = abs(mean) if margin is None else abs(mean) - margin
    if error == 0:
        return float(gap >= 0) if margin is not None else float(gap == 0)
    return float(2 * t.sf(gap / error, num - 1) if margin is None else t.cdf(gap / error, num - 1))


def metric_value(outcome: Outcome, key: Key, metric: str) -> float:
    """A metric of a cell under a condition; NaN where it was not measured."""
    found = outcome.condition(*key)
    value = None if found is None else found["metrics"].get(metric, {}).get("value")
    return math.nan if value is None else float(value)


def _judged(setting: Setting, found: Estimate, p: float, seen: str, words: str, num: int) -> Judged:
    given = setting.given
    return Judged(
        str(given["name"]), str(given.get("claim", "")), setting.protocol, NOT_SHOWN, *_ends(found), p, seen, words,
        num, str(given["kind"]),
    )  # fmt: skip


def _ends(found: Estimate) -> tuple[float, float, float]:
    return found.value, found.low, found.high


def _margin(given: Mapping[str, Any]) -> float:
    return parse_number(given.get("margin", MARGIN), f"hypotheses.{given['name']}.margin")


def _agree(each: tuple[float, ...], name: str, kind: str) -> str:
    if len(each) == 1:
        return "; one training each, another may differ"
    if kind == "equal":
        return f"; between {points(min(each))} and {points(max(each))} in {len(each)} pairs"
    return f"; better for {name} in {sum(d > 0 for d in each)} of {len(each)} pairs"


def _with_verdict(part: Judged, p: float, given: Mapping[str, Any]) -> Judged:
    """With p corrected for the number of comparisons, and the verdict that follows."""
    if part.verdict == NOT_RUN:
        return part
    if part.kind != "equal":
        verdict = verdict_of(part.low, part.high, p)
        return replace(part, p=p, verdict=verdict, words=f"{part.words}; {p_words(p)}.")
    margin = _margin(given)
    apart = part.low > margin or part.high < -margin
    verdict = HOLDS if p < ALPHA else CONTRADICTED if apart else NOT_SHOWN
    words = f"{part.words}; a difference below {size(margin)} counts as none, {p_words(p)} of a larger one."
    return replace(part, p=p, verdict=verdict, words=words)
