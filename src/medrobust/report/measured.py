"""audit.json as the report reads it: estimates, curves and the budget that the report dwells on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .words import Budget, interval, percent

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Estimate:
    """A share with its interval; any of the three may be unknown."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def text(self) -> str:
        """The value in percent."""
        return percent(self.value, 1)

    @property
    def range(self) -> str:
        """The interval; nothing where it is unknown or has no width, which proves nothing."""
        return "" if self.low == self.high else interval(self.low, self.high)


def mapping(raw: Any) -> Json:
    """The value where it is a mapping, else an empty one."""
    return raw if isinstance(raw, Mapping) else {}


def estimate(raw: Any) -> Estimate | None:
    """Read {value, low, high}, a bare number, or nothing.

    Example:
        >>> estimate({"value": 0.5, "low": 0.4, "high": 0.6})
        Estimate(value=0.5, low=0.4, high=0.6)
        >>> estimate(None), estimate(1)
        (None, Estimate(value=1.0, low=None, high=None))
    """
    if raw is None:
        return None
    if isinstance(raw, Mapping):
        value, low, high = (None if raw.get(key) is None else float(raw[key]) for key in ("value", "low", "high"))
        return Estimate(value, low, high)
    return Estimate(float(raw))


@dataclass(frozen=True)
class CurvePoint:
    """Robust accuracy at one budget; raw is what the attack itself reached, before the monotone envelope."""

    budget: Budget
    accuracy: Estimate
    raw: float | None = None


@dataclass(frozen=True)
class Line:
    """One line of the main figure: kind is worst, attack, stored or certified."""

    name: str
    kind: str
    points: tuple[CurvePoint, ...]

    def at(self, budget: Budget) -> CurvePoint | None:
        """The point of this budget, if it was measured."""
        return next((point for point in self.points if point.budget.same(budget.norm, budget.epsilon)), None)


def _points(rows: Iterable[Json], norm: str) -> tuple[CurvePoint, ...]:
    points = []
    for row in rows:
        accuracy = estimate(row["robust_accuracy"])
        if row["norm"] == norm and row["epsilon"] > 0 and accuracy is not None and accuracy.value is not None:
            raw = estimate(row.get("raw"))
            points.append(CurvePoint(Budget(norm, float(row["epsilon"])), accuracy, None if raw is None else raw.value))
    return tuple(sorted(points, key=lambda point: point.budget.epsilon))


def norms(audit: Json) -> list[str]:
    """The norms that were measured, in the order of the audit; the report dwells on the first."""
    rows = [*audit.get("curve", ()), *(audit.get("worst_case") or ())]
    return list(dict.fromkeys(row["norm"] for row in rows if row["epsilon"] > 0))


def lines(audit: Json, norm: str) -> list[Line]:
    """Worst case, every attack and the worst case of stored images; those that the audit lacks are left out.

    Without `worst_case` the strongest attack at each budget stands in for it. The worst case, image by image, can only
    be lower, so the name says which it is.
    """
    curve = list(audit.get("curve", ()))
    names = list(dict.fromkeys(row["attack"] for row in curve if row["attack"] != "clean"))
    attacks = [
        Line(attack_name(audit, name), "attack", _points((r for r in curve if r["attack"] == name), norm))
        for name in names
    ]
    attacks = [line for line in attacks if line.points]
    worst = Line("Worst case", "worst", _points(audit.get("worst_case") or (), norm))
    if not worst.points:
        best: dict[float, CurvePoint] = {}
        for point in (point for line in attacks for point in line.points):
            known = best.setdefault(point.budget.epsilon, point)
            if (point.accuracy.value or 0) < (known.accuracy.value or 0):
                best[point.budget.epsilon] = point
        worst = Line("Strongest attack", "worst", tuple(best[epsilon] for epsilon in sorted(best)))
    stored = Line("Worst case, saved", "stored", _points(audit.get("stored") or (), norm))
    return [line for line in (worst, *attacks, stored) if line.points]


def certified(audit: Json, norm: str) -> Line | None:
    """The lower bound of a norm: shares that no change within the budget can break. A bound of 0 says nothing."""
    rows = mapping(audit.get("certified")).get("rows") or ()
    named = [{**row, "robust_accuracy": row.get("certified_accuracy")} for row in rows]
    points = tuple(point for point in _points(named, norm) if point.accuracy.value)
    return Line("Certified", "certified", points) if points else None


def worst_line(audit: Json, norm: str) -> Line | None:
    """The bold line of a norm."""
    return next((line for line in lines(audit, norm) if line.kind == "worst"), None)


def focus(audit: Json) -> CurvePoint | None:
    """The point that the report dwells on, of the first norm.

    Formula: the smallest epsilon of the grid with robust accuracy <= clean accuracy / 2, else the largest epsilon.
    """
    for norm in norms(audit):
        line = worst_line(audit, norm)
        if line:
            half = (clean_accuracy(audit).value or 1.0) / 2
            reached = [point for point in line.points if (point.accuracy.value or 0) <= half + 1e-9]
            return reached[0] if reached else line.points[-1]
    return None


def clean_accuracy(audit: Json) -> Estimate:
    """Accuracy on unchanged images; without it, unknown."""
    return estimate(mapping(audit.get("clean")).get("accuracy")) or Estimate(None)


def broken_share(audit: Json, point: CurvePoint) -> float:
    """The share of the images right untouched that are wrong at this point; of all images, if that is unknown."""
    clean = clean_accuracy(audit).value or 1.0
    return min(1.0, max(0.0, 1 - (point.accuracy.value or 0.0) / clean))


def class_names(audit: Json) -> list[str]:
    """Names in the order of the outputs; numbers where the audit only counts them."""
    classes = mapping(audit["data"]).get("classes") or []
    return [str(i) for i in range(classes)] if isinstance(classes, int) else [str(name) for name in classes]


def class_name(audit: Json, index: Any) -> str:
    """The name of a class given by index, or by name already."""
    names = class_names(audit)
    return names[index] if isinstance(index, int) and 0 <= index < len(names) else str(index)


def name_of(part: Any) -> str:
    """The name of a model or data set that the audit describes by a word or by a mapping.

    Example:
        >>> name_of("busi"), name_of({"name": "runs/a", "network": "zoo:cbr_tiny"}), name_of({})
        ('busi', 'runs/a (zoo:cbr_tiny)', 'unnamed')
    """
    if not isinstance(part, Mapping):
        return str(part)
    name, network = str(part.get("name") or "unnamed"), str(part.get("network") or "")
    return name if network in ("", name) else f"{name} ({network})"


def attack_name(audit: Json, title: str) -> str:
    """What people call an attack, as the audit says; its title where it does not say."""
    said = mapping(mapping(mapping(audit.get("protocol")).get("attacks")).get(title))
    return "Worst case" if title == "worst_case" else str(said.get("name") or title)
