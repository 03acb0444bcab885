"""An order that was claimed, as "the simpler, the more robust"."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ...records.intervals import Estimate
from ...records.paired import difference
from ...report.words import counted
from ..read import Key, Outcome, Study
from ..select import SHARES, along, among, condition_words, full_key, group_names, places, pool
from .better import metric_value
from .draws import rho_interval
from .judged import ALPHA, CONTRADICTED, HOLDS, NOT_SHOWN, Judged, absent, floor_words, not_run, p_words, points, size
from .power import visible_of
from .ranks import ALL_ORDERS, rank_p, smallest_rho, spearman


class Order(NamedTuple):
    """What was measured of a claimed order.

    Args:
        names: the values of the axis that were run, in the order claimed.
        means: (k,) their means over all places.
        lists: of each value its outcomes, place by place.
        key: the condition.
        metric: its name.
    """

    names: list[str]
    means: np.ndarray
    lists: list[list[Outcome]]
    key: Key
    metric: str


def rank(study: Study, given: Mapping[str, Any], protocol: str) -> Judged:
    """A claim that the values of an axis stand in an order, the first the best.

    Spearman's correlation of the order with the mean of each value, with its exact chance among all orders, one-sided;
    ties have mean ranks, so that they count for less than the order claimed. The effect is the first value less the
    last, paired by image. It holds where the chance is below .05 and both intervals, of the effect and of the
    correlation when other images had been drawn, lie above 0. It is contradicted where the order is the other way
    round, and the first value is worse than the last by the interval.
    """
    axis, where = str(given["axis"]), given.get("where", {})
    wanted = [str(value) for value in given["order"]]
    sides = [{**where, axis: value} for value in wanted]
    key, metric = study.condition_of(where, protocol), str(given.get("metric", "accuracy"))
    run = [name for name, side in zip(wanted, sides, strict=True) if along(study, [side], protocol)[0][0]]
    if len(run) < 2:
        return not_run(given, protocol, absent(study, [s for s in sides if s[axis] not in run], protocol))
    kept = [side for side in sides if side[axis] in run]
    lists, _ = along(study, kept, protocol)
    if not lists[0]:
        return not_run(given, protocol, absent(study, [], protocol))
    key = full_key(key, lists[0])
    values = np.array([[_value(one, key, metric) for one in own] for own in lists])
    known = ~np.isnan(values).any(0)
    if not known.any():
        return not_run(
            given, protocol, f"{metric} under {condition_words(key)} was not measured in all cells of any place"
        )
    lists = [[one for one, use in zip(own, known, strict=True) if use] for own in lists]
    return _judge(
        given, protocol, Order(run, values[:, known].mean(1), lists, key, metric), values[:, known], len(wanted)
    )


def _value(outcome: Outcome, key: Key, metric: str) -> float:
    """A share from the images themselves, any other metric from what the audit says."""
    mask, condition = among(outcome, metric), outcome.condition(*key)
    if mask is None or condition is None:
        return metric_value(outcome, key, metric)
    return float(outcome.correct(condition)[mask].mean()) if mask.any() else math.nan


def _judge(given: Mapping[str, Any], protocol: str, order: Order, values: np.ndarray, num_wanted: int) -> Judged:
    share, k = order.metric in SHARES, len(order.names)
    means = order.means.round(12)
    rho, p = float(spearman(means)), rank_p(means)
    effect = _of_images(order) if share else _of_values(values)
    inside = _rho_ends(order) if share else None
    if p < ALPHA and effect.low > 0 and (inside is None or inside[0] > 0):
        verdict = HOLDS
    else:
        verdict = CONTRADICTED if effect.high < 0 and rho < 0 else NOT_SHOWN
    shown = ", ".join(
        f"{name} {100 * mean:.1f} %" if share else f"{name} {mean:.3f}"
        for name, mean in zip(order.names, order.means, strict=True)
    )
    num = values.shape[1]
    left_out = "" if k == num_wanted else f" ({k} of {num_wanted} values were run)"
    ends = "" if inside is None else f" [{inside[0]:.2f}, {inside[1]:.2f}] over groups of images"
    count = f"exact among {math.factorial(k)} orders" if k <= ALL_ORDERS else "estimated from drawn orders"
    words = (
        f"{order.metric} under {condition_words(order.key)}, the claimed best first{left_out}: {shown}; Spearman's rho "
        f"{rho:.2f}{ends}, one-sided {p_words(p)} ({count}); {order.names[0]} less {order.names[-1]}: "
        f"{points(effect.value, effect.low, effect.high, share)}"
    )
    words += floor_words(order.means) if share else ""
    words += "; one training each, another may differ." if num == 1 else f"; means of {num} trainings each."
    return Judged(
        str(given["name"]), str(given.get("claim", "")), protocol, verdict, effect.value, effect.low, effect.high, p,
        _power(order, share), words[0].upper() + words[1:], num, "rank", rho,
    )  # fmt: skip


def _of_images(order: Order) -> Estimate:
    pooled, _ = pool(order.lists[-1], order.lists[0], (order.key, order.key), order.metric)
    if pooled is None:
        return Estimate(float(order.means[0] - order.means[-1]), math.nan, math.nan)
    return difference(pooled.a, pooled.b, pooled.grouping, pooled.among)


def _of_values(values: np.ndarray) -> Estimate:
    """First less last over the places, with Student's interval; without one where there is one place."""
    from scipy.stats import t

    each = values[0] - values[-1]
    num, mean = len(each), float(each.mean())
    half = float(t.ppf(0.975, num - 1) * each.std(ddof=1) / math.sqrt(num)) if num > 1 else math.nan
    return Estimate(mean, mean - half, mean + half)


def _rho_ends(order: Order) -> tuple[float, float] | None:
    """The ends of the correlation over groups of images; None where the values have no images in common."""
    correct, masks, groups = [], [], []
    for place in zip(*order.lists, strict=True):
        at = places(list(place))
        if not len(at[0]):
            return None
        found = [one.condition(*order.key) for one in place]
        columns = [one.correct(c)[i] for one, c, i in zip(place, found, at, strict=True) if c is not None]
        mask = among(place[0], order.metric)
        if mask is None or len(columns) < len(place):
            return None
        correct.append(np.stack(columns, 1))
        masks.append(mask[at[0]])
        groups.append(group_names(place[0])[at[0]])
    return rho_interval(correct, masks, groups)


def _power(order: Order, share: bool) -> str:
    k = len(order.names)
    least = smallest_rho(k)
    if least is None:
        seen = (
            f"With {k} values no order can reach p < .05: even the claimed one has a chance of 1 in "
            f"{math.factorial(k)}, so that the claim could not have been shown."
        )
    else:
        seen = f"With {k} values, p < .05 needs a correlation of at least {least:.2f}."
    if not share:
        return seen
    gaps, num = [], 0
    for first, second in zip(order.lists, order.lists[1:], strict=False):
        pooled, _ = pool(second, first, (order.key, order.key), order.metric)
        if pooled is not None:
            num = max(num, int(pooled.among.sum()))
            gaps.append(visible_of(pooled.a, pooled.b, pooled.grouping, pooled.among))
    if not gaps:
        return seen
    if any(math.isnan(gap) for gap in gaps):
        return f"{seen} There are too few images to tell neighbors apart, however far."
    what = counted(num, "image" if len(order.lists[0]) == 1 else "answer")
    return (
        f"{seen} With {what}, neighbors in the order are told apart in 8 of 10 such studies from a "
        f"difference of {size(max(gaps))} on (80 % power, alpha .05)."
    )
