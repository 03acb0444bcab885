"""What is done, what is missing, and why; and how long the rest will take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ..errors import UserError
from ..numbers import parse_budgets
from ..progress import duration
from .cell import Cell
from .grid import Grid
from .read import RESULT, VALUES
from .worker import read_or_none, status_of

MOST_DIFFERENCES = 3
SKIPPED = ("data", "trained")  # hashes, said last: they differ wherever a value above them does


@dataclass(frozen=True)
class Planned:
    """A cell and how it stands.

    Args:
        cell: what it is.
        status: done, missing, stale, failed or running.
        why: what differs from the nearest cell that is done, or what went wrong.
        seconds: how long it will take, None where nothing like it was measured.
    """

    cell: Cell
    status: str
    why: str
    seconds: float | None


def plan(grid: Grid, cells: Path) -> list[Planned]:
    """How every cell of a grid stands, in the order of the grid. Nothing is written.

    Args:
        grid: of a study.
        cells: the folder of all cells.
    """
    known = list(_known(cells))
    rates = _rates(known)
    out = []
    for cell in grid.cells.values():
        status, why = status_of(cells, cell)
        if status == "missing" and not why:
            why = _nearest(cell.values, known)
        seconds = None if status == "done" else _seconds(cell.values, rates)
        out.append(Planned(cell, status, why, seconds))
    return out


def lines(grid: Grid, planned: Sequence[Planned]) -> Iterator[str]:
    """The plan as text, a line for each cell, and what it comes to."""
    for one in planned:
        time = "" if one.status == "done" else f", about {duration(one.seconds)}" if one.seconds else ", time not known"
        why = f": {one.why}" if one.why else ""
        yield f"{one.status:<8} {one.cell.kind:<6} {one.cell.name}{time}{why}"
    for why, num in Counter(job.cannot for job in grid.jobs if job.cannot).items():
        yield f"cannot   {num} places: {why}"
    counts = Counter(one.status for one in planned)
    said = ", ".join(f"{num} {status}" for status, num in counts.items()) or "no cell"
    rest = [one for one in planned if one.status != "done"]
    known = [one.seconds for one in rest if one.seconds]
    left = f"; about {duration(sum(known))} of computing for {len(known)} of {len(rest)} cells to do" if known else ""
    yield f"{len(planned)} cells of {grid.recipe.study}, profile {grid.profile}: {said}{left}"


def _known(cells: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Values and result of every cell that is done, of whatever study."""
    for path in sorted(cells.glob(f"*/{RESULT}")):
        values, result = read_or_none(path.parent / VALUES), read_or_none(path)
        if values is not None and result is not None and isinstance(result.get("seconds"), (int, float)):
            yield values, result


def _nearest(values: Mapping[str, Any], known: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    """In which values a cell differs from the nearest that is done."""
    own = flat(values)
    best: list[str] | None = None
    for other, _ in known:
        if other.get("kind") != values.get("kind"):
            continue
        old = flat(other)
        keys = [*own, *(key for key in old if key not in own)]
        found = [key for key in keys if own.get(key) != old.get(key)]
        if best is None or len(found) < len(best):
            best = [_said(key, old.get(key), own.get(key)) for key in sorted(found, key=_order)]
    if best is None:
        return "no cell of this kind is done"
    more = f" and {len(best) - MOST_DIFFERENCES} more" if len(best) > MOST_DIFFERENCES else ""
    return "differs from the nearest in " + "; ".join(best[:MOST_DIFFERENCES]) + more


def _order(key: str) -> tuple[bool, bool]:
    return key.partition(".")[0] in SKIPPED, key.partition(".")[0] != "version"


def _said(key: str, old: Any, new: Any) -> str:
    if key.partition(".")[0] == "data":
        return "the content of the data"
    if key == "trained":
        return "the training that it audits"
    return f"{key} {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def flat(values: Any, place: str = "") -> dict[str, Any]:
    """Nested values by dotted key, without the word recipe.

    Example:
        >>> flat({"recipe": {"optimizer": {"lr": 0.1}}, "version": 1})
        {'optimizer.lr': 0.1, 'version': 1}
    """
    if not isinstance(values, Mapping):
        return {place: values}
    found: dict[str, Any] = {}
    for key, value in values.items():
        inner = "" if key == "recipe" and not place else f"{place}.{key}" if place else str(key)
        found |= flat(value, inner) if value or not isinstance(value, Mapping) else {inner: value}
    return found


def _rates(known: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> dict[tuple[str, ...], float]:
    """Seconds per unit of work: of the same network at the same size, of the network, of the kind."""
    found: dict[tuple[str, ...], list[float]] = {}
    for values, result in known:
        try:
            each, classes = result["seconds"] / _units(values), _classes(values)
        except (AttributeError, KeyError, TypeError, UserError, ValueError):
            continue  # of a version with other keys, or written over
        for key in classes:
            found.setdefault(key, []).append(each)
    return {key: median(rates) for key, rates in found.items()}


def _classes(values: Mapping[str, Any]) -> list[tuple[str, ...]]:
    recipe = values["recipe"]
    data, kind = recipe["data"], str(values["kind"])
    network = str(recipe["model"]["name"]) if kind == "train" else str(values.get("trained"))
    return [(kind, network, str(data["name"]), str(data["image_size"])), (kind, network), (kind,)]


def _units(values: Mapping[str, Any]) -> float:
    """Work in units that are alike among cells of a kind: passes over the images, or images, attacks and budgets."""
    recipe = values["recipe"]
    if values["kind"] == "train":
        steps = float(recipe["attack"]["options"].get("num_steps") or 1)
        total = 0.0
        for phase in recipe["phases"] or [{}]:
            objective = (phase.get("objective") or recipe["objective"])["name"]
            total += (phase.get("epochs") or recipe["epochs"]) * (1 + (steps if objective != "clean" else 0))
        return max(total, 1.0)
    given, norm = recipe["threat"]["epsilons"], recipe["threat"]["norm"]
    grids = given.values() if isinstance(given, Mapping) else [given]
    num = sum(10 if grid is None else len(parse_budgets(grid, "l1")) for grid in grids)
    num *= 1 if isinstance(given, Mapping) or isinstance(norm, str) else len(norm)
    return float(num * len(recipe["attacks"])) * float(recipe["data"]["limit"] or 100)


def _seconds(values: Mapping[str, Any], rates: Mapping[tuple[str, ...], float]) -> float | None:
    for key in _classes(values):
        if key in rates:
            return rates[key] * _units(values)
    return None
