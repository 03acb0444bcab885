"""One value of an axis against others, on the same images: is it better, or is nothing lost?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from ...numbers import parse_number
from ...records.intervals import Estimate
from ...records.paired import difference, equivalence, holm, moments, sign_flip_p
from ...report.words import counted
from ..read import CONDITIONS, Key, Outcome, Study
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
    size,
    verdict_of,
)
from .one_answer import one_answer
from .power import smallest_margin, visible_mean, visible_normal, visible_of
from .t_test import t_p
from .told import Seen, Shown, Told, alone, answers, power_words, together
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
    def apart(self) -> bool:
        """Whether the sides differ in what they met."""
        return condition_words(self.keys[0]) != condition_words(self.keys[1])

    @property
    def opening(self) -> str:
        """The beginning of a sentence on it."""
        if self.apart:
            return "On the same images"
        return "Of the unchanged images" if self.condition == UNCHANGED else f"Under {self.condition}"

    @property
    def names(self) -> tuple[str, str]:
        """Of what it is compared with, and of what is claimed to be better; with conditions where these differ."""
        names = _name(self.other), _name(self.given["better"])
        if not self.apart:
            return names
        told = [condition_words(key).removesuffix(" images").removeprefix("the ") for key in self.keys]
        one, two = (f"{name} ({words})" for name, words in zip(names, told, strict=True))
        return one, two

    @property
    def equal(self) -> bool:
        """Whether it is claimed that nothing is lost."""
        return str(self.given["kind"]) == "equal"


class Part(NamedTuple):
    """One comparison, and its words in pieces; without them where it was not run."""

    judged: Judged
    told: Told | None = None


def better(study: Study, given: Mapping[str, Any], protocol: str) -> Judged:
    """A claim that one side is better than each of others, or, of kind equal, as good as each within a margin.

    Each comparison is made on the same images at the same values of all other axes, pooled. Of accuracy, sensitivity
    and specificity: the exact sign-flip test by group, McNemar's where each group has one image, and the interval of
    `records.paired.difference`. Of other metrics: a paired t-test over the pairs of cells, as they do not follow from
    which images are read correctly. p is corrected by Holm over the comparisons. All must hold for the claim to hold.
    """
    others = given["than"] if isinstance(given["than"], (list, tuple)) else [given["than"]]
    found = [_one(study, given, protocol, other, len(others)) for other in others]
    corrected = holm([part.judged.p for part in found])
    parts = [_with_verdict(part, p, given) for part, p in zip(found, corrected, strict=True)]
    if len(parts) == 1:
        return parts[0]
    done = [part for part in parts if part.verdict != NOT_RUN]
    if not done:
        return replace(parts[0], parts=tuple(parts))
    weakest = min(parts, key=lambda part: (ORDER.index(part.verdict), part.effect))
    shown = weakest if weakest.verdict != NOT_RUN else min(done, key=lambda part: part.effect)
    verdict = NOT_SHOWN if weakest.verdict == NOT_RUN else weakest.verdict
    largest = max(part.p for part in done) if verdict != CONTRADICTED else shown.p
    words = together(
        [
            Shown(_name(other), one.told, part.words, _tail(part.p, given), part.verdict)
            for other, one, part in zip(others, found, parts, strict=True)
        ]
    )
    seen = power_words([one.told for one in found if one.told])
    return replace(
        shown, verdict=verdict, p=largest, words=words, power_words=seen,
        parts=tuple(parts), num_pairs=sum(part.num_pairs for part in done),
    )  # fmt: skip


def _name(side: Mapping[str, Any]) -> str:
    """The values of its axes, or where it names none, its condition."""
    axes = [str(value) for key, value in side.items() if key not in CONDITIONS]
    return " ".join(axes or [str(value) for value in side.values()])


def _one(study: Study, given: Mapping[str, Any], protocol: str, other: Mapping[str, Any], num: int) -> Part:
    where, metric = given.get("where", {}), str(given.get("metric", "accuracy"))
    sides = [{**where, **other}, {**where, **given["better"]}]
    keys = study.condition_of(sides[0], protocol), study.condition_of(sides[1], protocol)
    (first, second), missing = along(study, sides, protocol)
    if not first:
        return Part(not_run(given, protocol, absent(study, sides, protocol)))
    keys = full_key(keys[0], first), full_key(keys[1], second)
    setting = Setting(given, protocol, other, keys, metric, num)
    if metric in SHARES:
        pooled, why = pool(first, second, keys, metric)
        if pooled is not None:
            found = _of_images(setting, pooled)
        elif why == NO_COMMON:
            found = _of_other_images(setting, first, second)
        else:
            found = Part(not_run(given, protocol, why))
    else:
        found = _of_values(setting, first, second)
    if found.told is None:
        return found
    more = [f"{counted(missing, 'pair')} of cells {'lacks' if missing == 1 else 'lack'} a side"] if missing else []
    if metric == "accuracy":
        more += one_answer(first, second, keys)
    alike = sum(_one_network(a, b) for a, b in zip(first, second, strict=True))
    more += [f"in {counted(alike, 'pair')} both sides are one network, trained twice"] if alike else []
    return found._replace(told=found.told._replace(remarks=(*found.told.remarks, *more)))


def _one_network(a: Outcome, b: Outcome) -> bool:
    """Whether two places have the same weights."""
    return a.axes != b.axes and a.result.get("weights") is not None and a.result["weights"] == b.result.get("weights")


def _of_images(setting: Setting, pooled: Pooled) -> Part:
    grouping, among = pooled.grouping, pooled.among
    hits = [int(side[among].sum()) for side in (pooled.b, pooled.a)]
    n, pairs = int(among.sum()), len(pooled.each)
    kind = {"accuracy": "images", "sensitivity": "positive images", "specificity": "negative images"}[setting.metric]
    what, of = answers(n, pooled.num_images, pairs, kind)
    one, two = setting.names
    reads = f"reads {hits[0]} of {what} correctly" if pairs == 1 else f"is right in {hits[0]} of {what}{of}"
    level = ALPHA / setting.num
    if setting.equal:
        estimate, p = equivalence(pooled.a, pooled.b, grouping, _margin(setting.given), among)
        found = moments(pooled.a, pooled.b, grouping, among)
        least = smallest_margin(found.error if found else math.nan, level)
    else:
        estimate = difference(pooled.a, pooled.b, grouping, among)
        p = sign_flip_p(pooled.a, pooled.b, grouping, among)
        least = visible_of(pooled.a, pooled.b, grouping, among, level)
    floor = "" if setting.equal else floor_words(hit / n for hit in hits).removeprefix("; ")
    remarks = (floor, _agree(pooled.each, two, setting.equal))
    inside = f"{what} in {counted(grouping.num_groups, 'group')}" if grouping.clustered else what
    return _part(setting, estimate, p, pairs, f"{setting.opening}, {two} {reads}", f"{hits[1]} of {one}", remarks,
                 Seen(inside, least, setting.level, setting.equal))  # fmt: skip


def _of_other_images(setting: Setting, first: list[Outcome], second: list[Outcome]) -> Part:
    """Where both sides have different images, as two data sets: unpaired."""
    sides = [side_of(own, key, setting.metric) for own, key in zip((first, second), setting.keys, strict=True)]
    if sides[0] is None or sides[1] is None:
        why = f"{setting.condition} was not measured on both sides"
        return Part(not_run(setting.given, setting.protocol, why))
    a, b = sides[0], sides[1]
    found, error = unpaired_difference(a, b), unpaired_error(a, b)
    p = NormalDist().cdf((abs(found.value) - _margin(setting.given)) / error) if setting.equal else unpaired_p(a, b)
    one, two = setting.names
    level = ALPHA / setting.num
    least = smallest_margin(error, level) if setting.equal else visible_normal(error, level)
    return _part(
        setting, found, p, len(first),
        f"Under {setting.condition}, {two} reads {int(b.right.sum())} of {len(b.right)} of its images correctly",
        f"{int(a.right.sum())} of {len(a.right)} of {one}",
        ("they are different images, compared without pairs",),
        Seen(f"{len(a.right)} and {len(b.right)} images", least, setting.level, setting.equal),
    )  # fmt: skip


def _of_values(setting: Setting, first: list[Outcome], second: list[Outcome]) -> Part:
    from scipy.stats import t

    pairs = []
    for a, b in zip(first, second, strict=True):
        values = [metric_value(one, key, setting.metric) for one, key in zip((a, b), setting.keys, strict=True)]
        if not any(math.isnan(value) for value in values):
            pairs.append(values)
    if not pairs:
        why = f"{setting.metric} under {setting.condition} was not measured in both cells of any pair"
        return Part(not_run(setting.given, setting.protocol, why))
    a, b = np.array(pairs).T
    num, mean = len(pairs), float((b - a).mean())
    sd = float((b - a).std(ddof=1)) if num > 1 else math.nan
    error = sd / math.sqrt(num) if num > 1 else math.nan
    half = float(t.ppf(0.95 if setting.equal else 0.975, num - 1)) * error if num > 1 else math.nan
    p = t_p(mean, error, num, _margin(setting.given) if setting.equal else None)
    one, two = setting.names
    what = f"{counted(num, 'pair')} of cells"
    test = f"paired t-test over {what}, not over images" + ("; one pair allows no test" if num < 2 else "")
    seen = Seen(what, visible_mean(sd, num, ALPHA / setting.num), setting.level, share=False)
    return _part(
        setting, Estimate(mean, mean - half, mean + half), p, num,
        f"{setting.metric} under {setting.condition} is {b.mean():.3f} for {two}", f"{a.mean():.3f} for {one}",
        (test, _agree(tuple(float(d) for d in b - a), two, setting.equal)), seen,
    )  # fmt: skip


def metric_value(outcome: Outcome, key: Key, metric: str) -> float:
    """A metric of a cell under a condition; NaN where it was not measured."""
    found = outcome.condition(*key)
    value = None if found is None else found["metrics"].get(metric, {}).get("value")
    return math.nan if value is None else float(value)


def _part(
    setting: Setting, found: Estimate, p: float, num: int, start: str, against: str, remarks: Sequence[str], seen: Seen
) -> Part:
    given, ends = setting.given, (found.value, found.low, found.high)
    judged = Judged(
        str(given["name"]), str(given.get("claim", "")), setting.protocol, NOT_SHOWN, *ends, p, "", "", num,
        str(given["kind"]),
    )  # fmt: skip
    told = Told(setting.names[0], start, against, points(*ends, seen.share), tuple(filter(None, remarks)), seen)
    return Part(judged, told)


def _margin(given: Mapping[str, Any]) -> float:
    return parse_number(given.get("margin", MARGIN), f"hypotheses.{given['name']}.margin")


def _agree(each: tuple[float, ...], name: str, equal: bool) -> str:
    if len(each) == 1:
        return "one training each, another may differ"
    if equal:
        return f"between {points(min(each))} and {points(max(each))} in {len(each)} pairs"
    return f"better for {name} in {sum(d > 0 for d in each)} of {len(each)} pairs"


def _with_verdict(part: Part, p: float, given: Mapping[str, Any]) -> Judged:
    """With p corrected for the number of comparisons, the verdict that follows, and the words."""
    found, told = part
    if told is None:
        return found
    if found.kind != "equal":
        verdict = verdict_of(found.low, found.high, p)
    else:
        margin = _margin(given)
        apart = found.low > margin or found.high < -margin
        verdict = HOLDS if p < ALPHA else CONTRADICTED if apart else NOT_SHOWN
    words = alone(told, _tail(p, given))
    return replace(found, p=p, verdict=verdict, words=words, power_words=power_words([told]))


def _tail(p: float, given: Mapping[str, Any]) -> str:
    """p in words, and of a claim of equality what counts as equal."""
    if given["kind"] != "equal":
        return p_words(p)
    return f"a difference below {size(_margin(given))} counts as none, {p_words(p)} of a larger one"
