"""The figures of a paper from the outcomes of a study: what stands in each panel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import UserError, nearest
from ..numbers import parse_number
from ..records.intervals import Estimate
from ..records.metric_names import METRICS
from .expected import ALL, Expected, Wanted
from .found import find
from .pictured import PICTURES, Pictured, pictured
from .read import NONE, Study, values_of
from .select import check_where
from .verdicts import protocols

CURVE, BARS = "curve", "bars"
KEYS = ("name", "kind", "series", "panels", "where", "metric", "words")


@dataclass(frozen=True)
class Line:
    """One value of the axis whose values are told apart by color.

    Args:
        name: the value.
        number: its position among all values of the axis, so that it has one color in all panels.
        points: (epsilon, our value, from the lowest split to the highest, of one split with its interval); of bars
            one, whose epsilon means nothing.
        reported: (epsilon, what the paper prints there), as shares.
    """

    name: str
    number: int
    points: tuple[tuple[float, Estimate], ...]
    reported: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Panel:
    """One panel under one protocol: its title, the norm of the budgets, and its lines."""

    title: str
    protocol: str
    norm: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Figure:
    """A figure: its name and words, whether it is a curve or bars, the metric, its panels, and its series.

    Of the series the names that this profile has, and the position of each among all values of the axis.
    """

    name: str
    words: str
    kind: str
    metric: str
    series: tuple[str, ...]
    numbers: tuple[int, ...]
    panels: tuple[Panel, ...]


def figures(study: Study, expected: Iterable[Expected]) -> tuple[Figure | Pictured, ...]:
    """The figures that the recipe asks for, from what is done.

    Errors: UserError for an entry of `figures` that names no kind or an axis that there is not.
    """
    rows = tuple(expected)
    return tuple(_figure(study, one, f"figures.{number}", rows) for number, one in enumerate(study.figures, 1))


def _figure(study: Study, entry: Mapping[str, Any], place: str, rows: tuple[Expected, ...]) -> Figure | Pictured:
    if entry.get("kind") in PICTURES:
        return pictured(study, entry, place)
    for key in entry:
        if key not in KEYS:
            raise UserError(f"{place}.{key}", "unknown key", nearest(str(key), KEYS))
    kind, series, panels = entry.get("kind"), entry.get("series"), entry.get("panels")
    if kind not in (CURVE, BARS):
        raise UserError(f"{place}.kind", f"unknown kind {kind!r}", nearest(str(kind), [CURVE, BARS, *PICTURES]))
    for name, axis in (("series", series), ("panels", panels)):
        if axis not in study.all_axes and (name, axis) != ("panels", None):
            raise UserError(f"{place}.{name}", f"there is no axis {axis!r}", nearest(str(axis), study.all_axes))
    check_where(study, entry.get("where", {}), f"{place}.where")
    where = {key: ",".join(values_of(value)) for key, value in entry.get("where", {}).items()}
    metric = str(entry.get("metric", "accuracy"))
    if metric not in METRICS:
        raise UserError(f"{place}.metric", f"unknown metric {metric!r}", nearest(metric, METRICS))
    drawn = []
    for value in _values(study, panels, where) if panels else ("",):
        for protocol in protocols(study):
            here = {**where, panels: value} if panels else where
            drawn.append(_panel(study, value, here, (kind, str(series), metric, protocol), rows))
    names = _values(study, str(series), where)
    numbers = tuple(study.all_axes[str(series)].index(name) for name in names)
    return Figure(str(entry.get("name", "")), str(entry.get("words", "")), kind, metric, names, numbers, tuple(drawn))


def _values(study: Study, axis: str, where: Mapping[str, str]) -> tuple[str, ...]:
    """The values of an axis that a figure tells apart, of those that this profile has."""
    asked = values_of(where[axis]) if axis in where else study.all_axes[axis]
    return tuple(value for value in asked if value in study.axes.get(axis, ()))


def _panel(
    study: Study, title: str, where: Mapping[str, str], how: tuple[str, str, str, str], rows: tuple[Expected, ...]
) -> Panel:
    kind, series, metric, protocol = how
    at: dict[float, dict[str, str]]
    if kind == CURVE:
        norm, budgets = _budgets(study, where, protocol)
        known = {"norm": norm} if norm else {}
        at = {epsilon: {**where, **known, "epsilon": repr(epsilon)} for epsilon in budgets}
        at = {0.0: {key: text for key, text in where.items() if key != "epsilon"} | {"attack": NONE}} | at
    else:
        norm, at = "", {0.0: dict(where)}
    lines = []
    for name in _values(study, series, where):
        found = {
            epsilon: find(study, Wanted(metric, {**here, series: name}), protocol).spread
            for epsilon, here in at.items()
        }
        points = tuple((epsilon, one) for epsilon, one in found.items() if one is not None)
        reported = _reported(study, {**where, series: name}, metric, kind, rows)
        lines.append(Line(name, study.all_axes[series].index(name), points, reported))
    return Panel(title, protocol, norm, tuple(lines))


def _budgets(study: Study, where: Mapping[str, str], protocol: str) -> tuple[str, list[float]]:
    """The norm of a curve, and the budgets at which its attack was measured, the smallest first."""
    attack, norm, _ = study.condition_of({**where, "epsilon": "1"}, protocol)
    found: set[float] = set()
    for one in study.select({key: text for key, text in where.items() if key in study.all_axes}, protocol):
        for condition in one.result["conditions"]:
            norm = norm or (condition["norm"] if condition["attack"] == attack else "")
            if condition["attack"] == attack and condition["norm"] == norm and condition["epsilon"] > 0:
                found.add(float(condition["epsilon"]))
    return norm, sorted(found)


def _reported(
    study: Study, where: Mapping[str, str], metric: str, kind: str, rows: tuple[Expected, ...]
) -> tuple[tuple[float, float], ...]:
    """What the paper prints at the same values of all axes; of a curve at any budget, and on unchanged images."""
    out = {}
    for row in rows:
        wanted = row.wanted
        plain = wanted.metric == metric and wanted.subset == ALL and not wanted.minus and row.reported is not None
        if not plain or _axes(study, wanted.where) != _axes(study, where):
            continue
        attack, asked = wanted.where.get("attack", NONE), where.get("attack", NONE)
        given, budget = _budget(study, wanted.where), _budget(study, where)
        if kind == CURVE and (attack == NONE or (attack == asked and given)):
            out[given if attack != NONE else 0.0] = float(row.reported or 0.0) / row.scale
        elif kind == BARS and attack == asked and (attack == NONE or given == budget):
            out[0.0] = float(row.reported or 0.0) / row.scale
    return tuple(sorted(out.items()))


def _axes(study: Study, where: Mapping[str, str]) -> dict[str, str]:
    return {key: text for key, text in where.items() if key in study.all_axes}


def _budget(study: Study, where: Mapping[str, str]) -> float:
    """The budget that a selection names, itself or by the label of its attack; 0 where it names none."""
    said = study.conditions.get(where.get("attack", NONE), {})
    return parse_number(where.get("epsilon", said.get("epsilon", 0.0)), "epsilon")
