"""The decision boundary in a plane, untouched and at each budget, and the true sizes of the smallest changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from ...files import read_json
from ...plane import COLORS, KEY, Plane, Points, caution, colors_of, plane_svg, sign_svg, told, used
from ..measured import Json, mapping
from ..strips import FORMS, Row, strips
from ..words import Budget, counted
from .section import Section, Seen


def _read(folder: Path) -> Json:
    path = folder / "explain.json"
    return mapping(mapping(read_json(path)).get("boundary")) if path.is_file() else {}


def cells(runs: list[list[int]], size: int) -> list[list[int]]:
    """Rows of a square from runs of (class, length).

    Example:
        >>> cells([[0, 3], [1, 1]], 2)
        [[0, 0], [0, 1]]
    """
    flat = [k for k, length in runs for _ in range(length)]
    return [flat[size * row : size * (row + 1)] for row in range(size)]


def _strips(found: Json, colors: list[int]) -> list[str]:
    """The dots in both forms; nothing where no image was misled."""
    classes, norm = found["classes"], str(found["norm"])
    rows = []
    for k, name in enumerate(classes):
        own = [
            (i, s) for i, s, label in zip(found["ids"], found["smallest"], found["labels"], strict=True) if label == k
        ]
        changes = [(i, float(s)) for i, s in own if s]
        if own:
            rows.append(Row(name, colors[k], changes, sum(s is None for _, s in own), sum(s == 0 for _, s in own)))
    if not any(row.changes for row in rows):
        return []
    return [strips(rows, norm, found.get("budgets") or (), form) for form in FORMS]


def _pictures(found: Json, plane: Plane) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """A picture for untouched and each budget, and what the colors and signs mean."""
    points = Points(*(found[key] for key in ("places", "answers", "at", "labels", "ids", "classes")))
    budgets = [Budget(str(found["norm"]), float(epsilon)) for epsilon in found["budgets"]]
    pictures, everything = [], []
    for row, heading in enumerate(["Untouched", *(f"Within {budget.short}" for budget in budgets)]):
        marks = points.marks(row)
        everything += marks
        pictures.append({"svg": plane_svg(plane, marks, heading, told(marks)), "told": told(marks)})
    legend = [(sign_svg(color, False, False), name) for color, name in used(plane, everything)]
    return pictures, legend + [(sign_svg(COLORS - 1, attacked, wrong), words) for words, attacked, wrong in KEY]


class Planes(NamedTuple):
    """Pictures {svg, told}, untouched and at each budget, (sign, words) of the legend, and what a plane cannot show."""

    pictures: list[dict[str, Any]]
    legend: list[tuple[str, str]]
    caution: str


def planes(found: Json) -> Planes:
    """A map of the boundary as explain.json holds it, drawn."""
    fills = cells(found["runs"], int(found["size"]))
    numbers = [float(found[key]) for key in ("neighbors_kept", "trustworthiness", "fill_agrees")]
    drawn = _pictures(found, Plane((0, 0, 1, 1), fills, found["classes"], _colors(found)))
    return Planes(*drawn, caution(found["method"], numbers[0], int(found["k"]), *numbers[1:]))


def _colors(found: Json) -> list[int]:
    return colors_of([*found["labels"], *found.get("answers", ())], len(found["classes"]))


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    found = _read(seen.folder)
    if not found:
        return {"found": found, "reason": "", "pictures": [], "strips": []}
    strips_of_all = _strips(found, _colors(found))
    content = {"found": found, "reason": found.get("reason", ""), "pictures": [], "strips": strips_of_all}
    if content["reason"]:
        return content
    pictures, legend, said = planes(found)
    wanted = [Budget(str(found["norm"]), float(e)) for e in found["budgets"]]
    own = seen.budget if seen.budget and seen.budget.norm == found["norm"] else None
    dwelt = min(range(len(wanted)), key=lambda i: own.far(wanted[i])) if own and wanted else len(wanted) // 2
    first = dict.fromkeys([0, min(dwelt + 1, len(wanted)), len(wanted)])
    return content | {
        "pictures": [pictures[i] for i in first],
        "others": [picture for i, picture in enumerate(pictures) if i not in first],
        "legend": legend,
        "moved": found["at"][-1] != found["at"][0],
        "caution": said,
        "count": counted(len(found["ids"]), "image"),
        "some": len(found["ids"]) < int(found["num_images"]),
    }


SECTION = Section(
    "boundary", "The decision boundary, in a plane", "Decision boundary", Path(__file__).with_suffix(".html.j2"), build
)
