"""The numbers of docs/what-survives.md: which of a paper's stand in its table, and its accuracy on unchanged images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from medrobust.numbers import parse_number
from medrobust.study.expected import ALL, Expected
from medrobust.study.found import Found, find
from medrobust.study.read import CONDITIONS, Study, values_of
from medrobust.study.words import in_unit, interval_text, metric_words

PROTOCOLS = ("paper", "honest")
MOST = 16  # numbers of a paper's tables
NUMBERS = "numbers"  # of `paper` in a recipe: a list of {select, words}, the numbers of its headline
Place = tuple[object, ...]


class Result(NamedTuple):
    """One study with results.

    Args:
        study: of its results.
        expected: the paper's numbers.
        scale: in what the re-run is smaller than the paper.
        check: the page of all its numbers, as docs/ links to it; "" where there is none.
    """

    study: Study
    expected: tuple[Expected, ...]
    scale: str
    check: str = ""


class Row(NamedTuple):
    """A row of the table: its words, and the cells published, as published here, under an honest attack."""

    words: str
    cells: tuple[str, ...]


def listed(one: Result) -> tuple[list[Row], int]:
    """The rows of the table, at most 16, and how many of the paper's numbers they are.

    Numbers that have no value here are left out, unless the recipe names them. So are means over more networks than
    were run, where one over fewer has the same value here. Numbers that are the same in the paper and here are one row.
    """
    named = bool(one.study.paper.get(NUMBERS))
    found = [(words, row, [find(one.study, row.wanted, way) for way in PROTOCOLS]) for words, row in headline(one)]
    if not named:
        found = [item for item in found if any(of.estimate is not None for of in item[2])]
        kept = _narrowest([(row, [_ours(row, of) for of in values]) for _, row, values in found])
        found = [item for item, keep in zip(found, kept, strict=True) if keep]
    rows: dict[tuple[str, ...], tuple[Row, list[str]]] = {}
    for words, row, values in found:
        cells = (f"{row.printed} {_unit(row)}".strip(), *(_ours(row, of) for of in values))
        key = (words,) if named else (row.wanted.metric, row.wanted.subset, *cells)
        rows.setdefault(key, (Row(words, cells), []))[1].append(row.table)
    most = list(rows.values())[:MOST]
    return [row._replace(words=row.words + _also(tables)) for row, tables in most], sum(len(own) for _, own in most)


def _also(tables: Sequence[str]) -> str:
    others = list(dict.fromkeys(table for table in tables if table != tables[0]))
    return f" (also Table {', '.join(others)})" if others else ""


def _unit(row: Expected) -> str:
    return row.unit if row.unit in ("%", "points") else ""


def _ours(row: Expected, found: Found) -> str:
    if found.estimate is None:
        return found.verdict
    said = f"{in_unit(found.estimate.value, row.unit)} {_unit(row)}".strip()
    return f"{said} {interval_text(found.estimate, row.unit)}".strip()


def headline(one: Result) -> list[tuple[str, Expected]]:
    """(words, number) of the numbers that carry the headline: those that the recipe names, else those of its claims."""
    named = one.study.paper.get(NUMBERS)
    if named:
        return [
            (str(item["words"]), row)
            for item in named
            for row in one.expected
            if row.reported is not None and _same(item["select"], row)
        ]
    found: dict[tuple[str, str, str], tuple[str, Expected]] = {}
    for given in one.study.hypotheses:
        for side in sides(given):
            for row in _rows(one.expected, side, metric_of(given)):
                words = f"Table {row.table}, {row.row}, {row.column}: {metric_words(row.wanted.metric)}"
                found.setdefault((row.table, row.row, row.column), (words, row))
    return list(found.values())


def sides(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The selections that a hypothesis compares."""
    where = dict(given.get("where", {}))
    if given["kind"] == "rank":
        return [{**where, given["axis"]: value} for value in given["order"]]
    if given["kind"] == "referral":
        return [where]
    others = given["than"] if isinstance(given["than"], (list, tuple)) else [given["than"]]
    return [{**where, **given["better"]}, *({**where, **other} for other in others)]


def metric_of(given: Mapping[str, Any]) -> str:
    """The metric of a hypothesis."""
    return str(given.get("metric", "accuracy"))


def _rows(expected: Iterable[Expected], side: Mapping[str, Any], metric: str) -> list[Expected]:
    """The paper's numbers at a selection: of the metric, or where it has none of it, of F1."""
    at = [row for row in expected if row.reported is not None and not row.wanted.minus and _inside(side, row)]
    return [row for row in at if row.wanted.metric == metric] or [row for row in at if row.wanted.metric == "f1"]


def _inside(side: Mapping[str, Any], row: Expected) -> bool:
    wanted = {"attack": "none", **side}
    return all(_equal(key, value, row.wanted.where.get(key)) for key, value in wanted.items())


def _equal(key: str, value: Any, given: str | None) -> bool:
    if given is None:
        return False
    if key == "epsilon":
        return abs(parse_number(value, key) - parse_number(given, key)) <= 1e-9
    return set(values_of(given)) <= set(values_of(value))


def _same(select: str, row: Expected) -> bool:
    """Whether a number is the one that `select` names, as expected.csv writes it; metric=... may stand in it."""
    given = dict(part.split("=", 1) for part in str(select).split())
    metric, subset = given.pop("metric", row.wanted.metric), given.pop("subset", ALL)
    there = (dict(row.wanted.where), row.wanted.metric, row.wanted.subset)
    return (given, metric, subset) == there and not row.wanted.minus


def unchanged(one: Result, given: Mapping[str, Any], protocol: str) -> str:
    """Accuracy of the sides of a claim on unchanged images, ours and the paper's; "" where either is not known.

    Of a side that several of the paper's numbers speak of, as one for each network, the lowest and the highest. Of
    these only those count that every side has, if it has any: networks that one side alone has are not compared.
    """
    clean = [{key: value for key, value in side.items() if key not in CONDITIONS} for side in sides(given)]
    found = [_clean(one, side, metric_of(given), protocol) for side in clean]
    known = [set(own) for own in found if own]
    common = set.intersection(*known) if known else set()
    said, metric = [], ""
    for side, own in zip(_differing(clean), found, strict=True):
        pairs = [pair for place, pair in own.items() if place in common]
        if pairs:
            row, metric = pairs[0][0], metric_words(pairs[0][0].wanted.metric)
            ours = _range([value for _, value in pairs], row)
            theirs = _range([(other.reported or 0.0) / other.scale for other, _ in pairs], row)
            said.append(f"{' '.join(map(str, side.values()))} {ours} ({theirs})".strip())
    return f"{metric} here (published): {', '.join(said)}." if said else ""


def _clean(one: Result, side: Mapping[str, Any], metric: str, protocol: str) -> dict[Place, tuple[Expected, float]]:
    """Of a side, by what a number speaks of beside it, the paper's number on unchanged images and ours."""
    rows = [row for row in _rows(one.expected, side, metric) if row.wanted.subset == ALL]
    found = [(row, find(one.study, row.wanted, protocol).estimate) for row in rows]
    known = [(row, estimate.value) for row, estimate in found if estimate is not None]
    named = {key for key, value in side.items() if len(values_of(value)) == 1}
    return {
        (row.wanted.metric, *sorted(item for item in row.wanted.where.items() if item[0] not in named)): (row, value)
        for (row, value), keep in zip(known, _narrowest(known), strict=True)
        if keep
    }


def _differing(clean: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of every side the axes in which it differs from another."""
    return [{key: value for key, value in side.items() if any(o.get(key) != value for o in clean)} for side in clean]


def _narrowest(here: Sequence[tuple[Expected, object]]) -> list[bool]:
    """Of numbers with what was found of each: whether none that speaks of fewer networks comes to the same.

    A profile with two of six networks has one value for the mean of the six and for that of three of them.
    """

    def of(row: Expected, value: object) -> tuple[object, ...]:
        alone = tuple(item for item in sorted(row.wanted.where.items()) if len(values_of(item[1])) == 1)
        return row.wanted.metric, row.wanted.subset, alone, str(value)

    def width(row: Expected) -> int:
        return sum(len(values_of(text)) for text in row.wanted.where.values())

    least: dict[tuple[object, ...], int] = {}
    for row, value in here:
        least[of(row, value)] = min(width(row), least.get(of(row, value), width(row)))
    return [width(row) == least[of(row, value)] for row, value in here]


def _range(values: Sequence[float], row: Expected) -> str:
    ends = list(dict.fromkeys(in_unit(value, row.unit) for value in (min(values), max(values))))
    return f"{' to '.join(ends)} {_unit(row)}".strip()
