"""A chart of how alike maps stay when the layers of the network are drawn anew, the last first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..svg import Axis, document, path, spread, tag, text
from .measured import estimate, mapping

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 240, 46, 190, 30, 44
TICKS = (-0.5, 0.0, 0.5, 1.0)


def layers_chart(maps: Sequence[Any], threshold: float) -> str:
    """An SVG with a line for each map whose network was drawn anew layer by layer; "" without any.

    Example:
        >>> at = [{"num_layers": k, "rank_correlation": {"value": 1 / k, "low": 0, "high": 1}} for k in (1, 4)]
        >>> chart = layers_chart([{"title": "Saliency", "sanity": {"layers": at}}], 0.5)
        >>> chart.count("circle"), "Saliency" in chart
        (3, True)
        >>> layers_chart([{"title": "Saliency", "sanity": {}}], 0.5)
        ''
    """
    lines = [(str(row["title"]), _points(row)) for row in maps if len(_points(row)) > 1]
    if not lines:
        return ""
    most = max(points[-1][0] for _, points in lines)
    floor = HEIGHT - BOTTOM
    x, y = Axis(0, most, LEFT, WIDTH - RIGHT), Axis(min(TICKS), 1, floor, TOP)
    out = [tag("text", text("Rank correlation with the map of the trained network"), x=0, y=13, class_="axis-title")]
    for tick in TICKS:
        out.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(tick), y2=y(tick), class_="grid"))
        out.append(tag("text", text(f"{tick:g}"), x=LEFT - 8, y=y(tick) + 4, class_="tick end"))
    for count in sorted({0, *(count for _, points in lines for count, _ in points)}):
        if count == 0 or x(count) - LEFT > 20:  # of many layers the first stands where 0 does
            out.append(tag("text", text(count), x=x(count), y=floor + 18, class_="tick middle"))
    words = "Layers with new weights, counted from the last"
    out.append(tag("text", text(words), x=(LEFT + WIDTH - RIGHT) / 2, y=floor + 38, class_="axis-title middle"))
    ends = spread([y(points[-1][1]) for _, points in lines], 16, TOP, floor)
    for i, ((title, points), end) in enumerate(zip(lines, ends, strict=True)):
        style = f"attack a{i % 6}"
        dots = [(x(count), y(value)) for count, value in [(0, 1.0), *points]]
        out.append(path(dots, class_=f"line {style}"))
        out += [tag("circle", cx=a, cy=b, r=3.5, class_=f"dot {style}") for a, b in dots]
        out.append(path([(dots[-1][0] + 6, dots[-1][1]), (WIDTH - RIGHT + 16, end)], class_="lead"))
        out.append(tag("text", text(title), x=WIDTH - RIGHT + 20, y=end + 4, class_=f"label {style}"))
    label = f"{words}: " + "; ".join(f"{title} ends at {points[-1][1]:.2f}" for title, points in lines)
    label += f". At {threshold:g} or more, with all layers new, a map fails."
    return document(WIDTH, HEIGHT, *out, label=label, class_="plot")


def _points(row: Any) -> list[tuple[int, float]]:
    steps = mapping(mapping(row).get("sanity")).get("layers") or ()
    found = [(int(step["num_layers"]), estimate(step["rank_correlation"])) for step in steps]
    return [(count, max(value.value, min(TICKS))) for count, value in found if value and value.value is not None]
