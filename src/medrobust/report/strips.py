"""The smallest change of each image as a dot, a row for each true class, on one axis; larger dots are several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from ..plane import style
from ..svg import axis_for, document, tag, text
from .figures import LOW_NARROW, LOW_WIDE, Layout
from .words import GREY_LEVELS, counted, number

TOP, ROW = 20, 54  # above the first row, and of each row
NEAR, RADIUS, LARGEST = 4, 2.8, 15.0  # width of what is one dot, and the radius for one image and at most; area counts
LETTERS = 20  # of the name of a class
NAMED = 5  # images that a dot names
FORMS = tuple(replace(form, left=8, right=12) for form in (LOW_WIDE, LOW_NARROW))


class Row(NamedTuple):
    """The images of a true class.

    Args:
        name: of the class; color: its number, see plane.colors_of.
        changes: (image, smallest change above 0) of those that an attack misled.
        never: images that none did; wrong: images that are read wrong untouched.
    """

    name: str
    color: int
    changes: Sequence[tuple[str, float]]
    never: int
    wrong: int

    @property
    def words(self) -> str:
        """The row in a few words."""
        said = f"{len(self.changes)} misled"
        said += f", {self.never} never" if self.never else ""
        return said + (f", {self.wrong} wrong untouched" if self.wrong else "")


def _dots(placed: Sequence[tuple[str, float, float]]) -> list[list[tuple[str, float, float]]]:
    """Those (name, change, place) together that are too near to be told apart, in the order of their places."""
    found: list[list[tuple[str, float, float]]] = []
    for one in sorted(placed, key=lambda one: one[2]):
        if found and one[2] - found[-1][0][2] < NEAR:
            found[-1].append(one)
        else:
            found.append([one])
    return found


def strips(rows: Sequence[Row], norm: str, budgets: Sequence[float], layout: Layout) -> str:
    """Dots on an axis of sizes, grey levels of 255 for linf, up to the largest budget; equal ones share a dot.

    Example:
        >>> drawn = strips([Row("benign", 0, [("a", 1 / 255), ("b", 3 / 255)], 1, 0)], "linf", [4 / 255], FORMS[0])
        >>> drawn.count("<circle")
        2
    """
    scale = GREY_LEVELS if norm == "linf" else 1
    sizes = [scale * change for row in rows for _, change in row.changes] + [scale * e for e in budgets if e > 0]
    x = axis_for(sizes, layout.left + 6, layout.width - layout.right - 6)
    floor = TOP + ROW * len(rows) + 4
    out = [style()]
    for tick in x.ticks(layout.ticks):
        out.append(tag("line", x1=x(tick), x2=x(tick), y1=TOP, y2=floor, class_="grid"))
        out.append(tag("text", text(number(tick, 3)), x=x(tick), y=floor + 16, class_="tick middle"))
    out.append(tag("line", x1=layout.left, x2=layout.width - layout.right, y1=floor, y2=floor, class_="axis"))
    dots = [_dots([(name, change, x(scale * change)) for name, change in row.changes]) for row in rows]
    unit_radius = min(RADIUS, LARGEST / max((len(dot) for own in dots for dot in own), default=1) ** 0.5)
    for i, (row, own) in enumerate(zip(rows, dots, strict=True)):
        top = TOP + ROW * i
        name = row.name if len(row.name) <= LETTERS else row.name[: LETTERS - 1] + "\u2026"
        out.append(tag("text", text(name), tag("tspan", text(f"  {row.words}"), class_="faint"), x=0, y=top + 8))
        for dot in own:
            change, at = scale * dot[len(dot) // 2][1], sum(place for _, _, place in dot) / len(dot)
            names = ", ".join(name for name, _, _ in dot[:NAMED]) + (" ..." if len(dot) > NAMED else "")
            words = tag("title", text(f"{counted(len(dot), 'image')}, {number(change, 3)}: {names}"))
            radius = unit_radius * len(dot) ** 0.5
            out.append(tag("circle", words, cx=at, cy=float(top + 32), r=radius, class_=f"k{row.color} at"))
    unit = "grey levels of 255" if norm == "linf" else f"{norm.upper()} distance"
    middle = (layout.left + layout.width - layout.right) / 2
    out.append(tag("text", text(f"Smallest change found, {unit}"), x=middle, y=floor + 36, class_="axis-title middle"))
    count = counted(sum(len(row.changes) for row in rows), "image")
    said = "; ".join(f"{row.name}: {row.words}" for row in rows)
    label = f"Dot plot of the smallest change of {count}, by true class. {said}."
    return document(layout.width, floor + 44, *out, label=label, class_=f"plot plane {layout.name}")
