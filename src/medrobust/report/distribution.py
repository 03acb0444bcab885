"""The distribution of smallest changes as a plot: the share of the images misled by a change of at most this size."""

from __future__ import annotations

from collections.abc import Sequence

from ..numbers import FAMILIES
from ..svg import Axis, axis_for, document, path, tag, text
from .figures import Layout, shares, titles
from .words import FAULTS, GREY_LEVELS, Budget, number, percent


def steps(points: Sequence[tuple[float, float]], stop: float) -> list[tuple[float, float]]:
    """The corners of a step function that is 0 before the first point and flat after the last, until stop.

    Example:
        >>> steps([(1.0, 0.5), (2.0, 0.75)], 3.0)
        [(1.0, 0.0), (1.0, 0.5), (2.0, 0.5), (2.0, 0.75), (3.0, 0.75)]
    """
    corners, share = [], 0.0
    for value, reached in points:
        corners += [(value, share), (value, reached)]
        share = reached
    return [*corners, (stop, share)] if points and stop > points[-1][0] else corners


def _axis(points: Sequence[tuple[float, float]], stop: float, norm: str, layout: Layout) -> Axis:
    """Sizes on the horizontal axis, in grey levels for linf."""
    scale = GREY_LEVELS if norm == "linf" else 1
    values = [scale * value for value, _ in points]
    return axis_for([min(values), max(*values, scale * stop)], layout.left + 8, layout.width - layout.right - 8)


def smallest_changes(points: Sequence[tuple[float, float]], norm: str, stop: float, layout: Layout) -> str:
    """Share of the images misled against the size of the change, a step at each image.

    Args:
        points: (change, share of the images misled by at most it), ascending, changes above 0.
        norm: of the changes.
        stop: the largest budget tried.
        layout: wide or narrow.
    """
    scale = GREY_LEVELS if norm == "linf" else 1
    x = _axis(points, stop, norm, layout)
    y, out = shares(layout, "Images misled, of those read correctly untouched")
    for tick in x.ticks(layout.ticks):
        at = x(tick)
        out.append(tag("line", x1=at, x2=at, y1=layout.floor, y2=layout.floor + 5, class_="axis"))
        out.append(tag("text", text(number(tick, 3)), x=at, y=layout.floor + 19, class_="tick middle"))
    ends = {"x1": layout.left, "x2": layout.width - layout.right, "y1": layout.floor, "y2": layout.floor}
    out.append(tag("line", **ends, class_="axis"))
    corners = [(x(scale * value), y(share)) for value, share in steps(points, stop)]
    out.append(path(corners, class_="line worst steps"))
    half = next((value for value, share in points if share >= 0.5), None)
    if half is not None:
        at = x(scale * half)
        out.append(tag("line", x1=at, x2=at, y1=y(0.5), y2=layout.floor, class_="mark"))
        out.append(tag("circle", cx=at, cy=y(0.5), r=4.5, class_="ring"))
    never = 1 - points[-1][1]
    if never > 0 and layout.direct_labels:
        words = f"{percent(never)} never misled"
        out.append(tag("text", text(words), x=corners[-1][0] + 10, y=(y(1) + corners[-1][1]) / 2 + 4, class_="label"))
    title = (
        "Smallest change found, grey levels of 255" if norm == "linf" else f"Smallest change, {norm.upper()} distance"
    )
    if norm in FAMILIES:
        title = f"Least severity of {FAULTS[norm]} that misleads"
    out.extend(titles(layout, title))
    told = f"half within {Budget(norm, half).short}" if half is not None else "fewer than half at any size"
    label = f"Step chart of images misled against the size of the change: {told}; {percent(never)} never."
    return document(layout.width, layout.height, *out, label=label, class_=f"plot {layout.name}")
