"""Curves and bars of a study's figures as inline SVG, drawn so that one size serves a phone, a page and print."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..records.intervals import Estimate
from ..records.metric_names import METRICS
from ..report.words import GREY_LEVELS, number
from ..svg import Axis, axis_for, document, path, tag, text
from .figures import CURVE, Figure, Line, Panel
from .words import PROTOCOL_WORDS, metric_words

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 360.0, 270.0, 42.0, 10.0, 34.0, 56.0
SLOT, FIRST = LEFT + 14, LEFT + 44  # where unchanged images stand, and the smallest budget
EDGE, BAR, NAME = 14.0, 11.0, 18.0  # left of the bars; height of a bar, and of its name above it
NUM_COLORS = 6


def panel_svg(figure: Figure, panel: Panel) -> str:
    """One panel as SVG; "" where it has neither our values nor the paper's."""
    if not any(line.points or line.reported for line in panel.lines):
        return ""
    return _curve(figure, panel) if figure.kind == CURVE else _bars(figure, panel)


def style_of(line_number: int) -> str:
    """The class that colors and dashes a line; six differ without color too.

    Example:
        >>> style_of(1), style_of(7)
        ('a1', 'a1')
    """
    return f"a{line_number % NUM_COLORS}"


def _title(panel: Panel) -> str:
    words = PROTOCOL_WORDS.get(panel.protocol, panel.protocol)
    return f"{panel.title}, {words}" if panel.title else words


def _share(value: float, metric: str) -> str:
    return f"{100 * value:.0f}%" if metric not in METRICS or METRICS[metric].in_percent else f"{value:.2f}"


def _label(figure: Figure, panel: Panel) -> str:
    told = []
    for line in panel.lines:
        values = [f"{one.value:.3f} at {epsilon:.3g}" for epsilon, one in line.points]
        shown = values if len(values) <= 6 else [*values[:: math.ceil(len(values) / 5)], values[-1]]
        told.append(f"{line.name}: {', '.join(dict.fromkeys(shown)) or 'no result'}")
    return f"{figure.name} {_title(panel)}, {metric_words(figure.metric)}. {'; '.join(told)}."


def _title_mark(panel: Panel) -> str:
    return tag("text", text(_title(panel)), x=0, y=13, class_="axis-title strong")


def _curve(figure: Figure, panel: Panel) -> str:
    budgets = sorted({e for line in panel.lines for e, _ in (*line.points, *line.reported) if e > 0})
    x = axis_for(budgets or [1.0], FIRST, WIDTH - RIGHT - 8)
    y = Axis(0, 1, HEIGHT - BOTTOM, TOP)
    out = [_title_mark(panel)]
    for share in (0, 0.25, 0.5, 0.75, 1):
        out.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(share), y2=y(share), class_="grid"))
        out.append(tag("text", text(_share(share, figure.metric)), x=LEFT - 6, y=y(share) + 4, class_="tick end"))
    scale = GREY_LEVELS if panel.norm == "linf" else 1
    shown = Axis(x.low * scale, x.high * scale, x.start, x.stop, x.log)
    ticks = [(shown(tick), number(tick, 3)) for tick in shown.ticks(6)] if budgets else []
    for at, words in [(SLOT, "0"), *ticks]:
        out.append(tag("line", x1=at, x2=at, y1=y(0), y2=y(0) + 4, class_="axis"))
        out.append(tag("text", text(words), x=at, y=y(0) + 17, class_="tick middle"))
    out.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(0), y2=y(0), class_="axis"))
    sizes = "Epsilon in grey levels of 255" if panel.norm == "linf" else f"Epsilon, {panel.norm.upper() or 'distance'}"
    out.append(tag("text", text(sizes), x=(LEFT + WIDTH - RIGHT) / 2, y=y(0) + 38, class_="axis-title middle"))

    def place(epsilon: float) -> float:
        return x(epsilon) if epsilon > 0 else SLOT

    out += [_span(line, place, y) for line in panel.lines]
    out += [_points(line, place, y) for line in panel.lines]
    return document(WIDTH, HEIGHT, *out, label=_label(figure, panel), class_="plot panel")


def _span(line: Line, place: Callable[[float], float], y: Axis) -> str:
    """The spread: a band where there are several budgets, a whisker where there is one."""
    known = [(place(e), one) for e, one in line.points if not math.isnan(one.low + one.high)]
    if len(known) == 1:
        ((at, one),) = known
        return tag("line", x1=at, x2=at, y1=y(one.low), y2=y(one.high), class_=f"spread {style_of(line.number)}")
    if not known:
        return ""
    ends = [(at, y(one.high)) for at, one in known] + [(at, y(one.low)) for at, one in reversed(known)]
    return path(ends, class_=f"span {style_of(line.number)}")


def _points(line: Line, place: Callable[[float], float], y: Axis) -> str:
    style, dots = style_of(line.number), [(place(e), y(one.value), e, one) for e, one in line.points]
    out = [path([(a, b) for a, b, _, _ in dots], class_=f"line {style}")] if len(dots) > 1 else []
    for a, b, epsilon, one in dots:
        said = tag("title", text(f"{line.name} at {epsilon:.4g}: {_numbers(one)}"))
        out.append(tag("circle", said, cx=a, cy=b, r=2.6, class_=f"dot {style}"))
    return "".join(out) + "".join(_mark(line, place(e), y(value), value) for e, value in line.reported)


def _mark(line: Line, x: float, y: float, value: float) -> str:
    """What the paper prints."""
    said = tag("title", text(f"{line.name} in the paper: {value:.4g}"))
    return tag("circle", said, cx=x, cy=y, r=5, class_=f"hollow {style_of(line.number)}")


def _numbers(one: Estimate) -> str:
    ends = "" if math.isnan(one.low + one.high) else f" [{one.low:.3f}, {one.high:.3f}]"
    return f"{one.value:.3f}{ends}"


def _bars(figure: Figure, panel: Panel) -> str:
    x, step = Axis(0, 1, EDGE, WIDTH - 66), NAME + BAR + 9
    foot = TOP + step * len(panel.lines)
    out = [_title_mark(panel)]
    for share in (0, 0.25, 0.5, 0.75, 1):
        out.append(tag("line", x1=x(share), x2=x(share), y1=TOP - 6, y2=foot, class_="grid"))
        out.append(tag("text", text(_share(share, figure.metric)), x=x(share), y=foot + 16, class_="tick middle"))
    out.append(tag("text", text(metric_words(figure.metric)), x=x(0.5), y=foot + 36, class_="axis-title middle"))
    for row, line in enumerate(panel.lines):
        top, style = TOP + step * row + NAME, style_of(line.number)
        out.append(tag("text", text(line.name), x=EDGE, y=top - 4, class_="tick"))
        for _, one in line.points:
            out.append(tag("rect", x=x(0), y=top, width=x(one.value) - x(0), height=BAR, class_=f"bar {style}"))
            if not math.isnan(one.low + one.high):
                level = top + BAR / 2
                out.append(tag("line", x1=x(one.low), x2=x(one.high), y1=level, y2=level, class_="ends"))
            shown = f"{100 * one.value:.1f}%" if _share(0, figure.metric).endswith("%") else f"{one.value:.3f}"
            out.append(tag("text", text(shown), x=WIDTH - 4, y=top + 10, class_="tick end"))
        if not line.points:
            out.append(tag("text", text("no result"), x=WIDTH - 4, y=top + 10, class_="tick end"))
        out += [_mark(line, x(value), top + BAR / 2, value) for _, value in line.reported]
    return document(WIDTH, foot + 44, *out, label=_label(figure, panel), class_="plot panel")
