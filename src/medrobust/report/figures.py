"""The report's plots, drawn as inline SVG; each is a pure function of numbers and comes in a wide and a narrow form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..numbers import FAMILIES, MOST_SEVERE
from ..svg import Axis, axis_for, document, path, spread, tag, text
from .measured import CurvePoint, Estimate, Line
from .words import FAULTS, GREY_LEVELS, Budget, number, percent


@dataclass(frozen=True)
class Layout:
    """Sizes of one form of a plot, in units of its view box; labels stand at the line ends where there is room."""

    name: str
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    ticks: int
    direct_labels: bool

    @property
    def floor(self) -> float:
        """The y of zero."""
        return self.height - self.bottom


WIDE = Layout("wide", 760, 440, 46, 190, 58, 64, 9, True)
NARROW = Layout("narrow", 344, 344, 40, 12, 58, 62, 6, False)
LOW_WIDE = Layout("wide", 760, 320, 46, 190, 36, 48, 6, True)
LOW_NARROW = Layout("narrow", 344, 280, 40, 12, 36, 48, 6, False)


def shares(layout: Layout, what: str) -> tuple[Axis, list[str]]:
    """The vertical axis, 0 to 100%, with hairlines; its title is written into the top label."""
    y = Axis(0, 1, layout.floor, layout.top)
    marks = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        at = y(share)
        marks.append(tag("line", x1=layout.left, x2=layout.width - layout.right, y1=at, y2=at, class_="grid"))
        marks.append(tag("text", text(f"{100 * share:.0f}%"), x=layout.left - 8, y=at + 4, class_="tick end"))
    marks.append(tag("text", text(what), x=0, y=13, class_="axis-title"))
    return y, marks


def titles(layout: Layout, *rows: str) -> list[str]:
    """Lines of text under the horizontal axis."""
    middle = (layout.left + layout.width - layout.right) / 2
    return [
        tag(
            "text",
            text(row),
            x=middle,
            y=layout.floor + 40 + 17 * i,
            class_="axis-title middle" + (" faint" if i else ""),
        )
        for i, row in enumerate(rows)
    ]


def size_titles(norm: str, layout: Layout) -> list[str]:
    """What the horizontal axis of a curve counts, in two lines."""
    if norm in FAMILIES:
        title = f"Severity of {FAULTS[norm]}, from 0 to {MOST_SEVERE:g}"
        return [title, "an image is lost from its mildest fault on"]
    if norm != "linf":
        return [f"Size of the change, {norm.upper()} distance", "pixel values run from 0 to 1"]
    if layout.direct_labels:
        return [
            "Largest change allowed in any pixel, in grey levels out of 255",
            "1 grey level = 1/255 = 0.39% of the range from black to white",
        ]
    return ["Largest change of a pixel, in grey levels of 255", "1 = 1/255 = 0.39% of black to white"]


def style_of(index: int, kind: str) -> str:
    """The class that colors and dashes a line; attacks cycle through six that differ without color too."""
    return kind if kind != "attack" else f"attack a{index % 6}"


def _band(line: Line, x: Axis, y: Axis) -> str:
    known = [p for p in line.points if p.accuracy.low is not None and p.accuracy.high is not None]
    if len(known) < 2:
        return "".join(_whisker(p.accuracy, x(p.budget.epsilon), y) for p in known)
    top = [(x(p.budget.epsilon), y(p.accuracy.high or 0)) for p in known]
    foot = [(x(p.budget.epsilon), y(p.accuracy.low or 0)) for p in reversed(known)]
    return path([*top, *foot], class_="band")


def _bracket(lower: Line, upper: Line, x: Axis, y: Axis) -> str:
    """What is unknown: between the certified share and the share that withstood the attacks, budget by budget."""
    pairs = [(p, q) for p in lower.points if (q := upper.at(p.budget)) is not None]
    if len(pairs) < 2:
        return ""
    top = [(x(q.budget.epsilon), y(q.accuracy.value or 0)) for _, q in pairs]
    foot = [(x(p.budget.epsilon), y(p.accuracy.value or 0)) for p, _ in reversed(pairs)]
    return path([*top, *foot], class_="bracket")


def _whisker(accuracy: Estimate, at: float, y: Axis) -> str:
    if accuracy.low is None or accuracy.high is None:
        return ""
    return tag("line", x1=at, x2=at, y1=y(accuracy.low), y2=y(accuracy.high), class_="whisker")


def _line(line: Line, style: str, x: Axis, y: Axis) -> str:
    dots = [(x(p.budget.epsilon), y(p.accuracy.value or 0), p) for p in line.points]
    drawn = path([(a, b) for a, b, _ in dots], class_=f"line {style}") if len(dots) > 1 else ""
    if line.kind == "stored" or (line.kind == "attack" and len(dots) > 1):
        return drawn
    radius = 3.5 if len(dots) <= 15 else 2.2
    marks = (
        tag(
            "circle",
            tag("title", text(f"{p.budget.short}: {p.accuracy.text}")),
            cx=a,
            cy=b,
            r=radius,
            class_=f"dot {style}",
        )
        for a, b, p in dots
    )
    return drawn + "".join(marks)


def _end_labels(lines: Sequence[Line], styles: Sequence[str], x: Axis, y: Axis, layout: Layout) -> str:
    wanted = [y(line.points[-1].accuracy.value or 0) for line in lines]
    out = []
    for line, style, at, to in zip(lines, styles, wanted, spread(wanted, 16, layout.top, layout.floor), strict=True):
        start = x(line.points[-1].budget.epsilon) + 6
        out.append(
            path(
                [(start, at), (layout.width - layout.right + 10, to), (layout.width - layout.right + 16, to)],
                class_="lead",
            )
        )
        name = line.name if len(line.name) <= 27 else line.name[:26] + "\u2026"
        out.append(tag("text", text(name), x=layout.width - layout.right + 20, y=to + 4, class_=f"label {style}"))
    return "".join(out)


def _mark(point: CurvePoint, words: str, x: Axis, y: Axis, layout: Layout) -> str:
    """The budget of the verdict: a line through its point, and above the plot what is lost there."""
    at, height = x(point.budget.epsilon), y(point.accuracy.value or 0)
    label = f"{point.budget.short}: {words}"
    half = 3.6 * len(label)  # half its width, roughly
    middle = min(max(at, half), layout.width - half)
    return "".join(
        (
            tag("line", x1=at, x2=at, y1=layout.top - 10, y2=layout.floor, class_="mark"),
            tag("circle", cx=at, cy=height, r=6.5, class_="ring"),
            tag("text", text(label), x=middle, y=layout.top - 18, class_="note middle"),
        )
    )


def _below_one_level(x: Axis, y: Axis, lines: Sequence[Line], layout: Layout) -> str:
    """The zone of changes smaller than a step of an 8-bit screen, for linf; its name stands clear of the lines."""
    one = 1 / GREY_LEVELS
    if x.low > one:
        return ""
    edge = min(x(one), layout.width - layout.right) if x.high > x.low else layout.width - layout.right
    room = edge - layout.left
    words = "below one grey level: invisible" if room > 200 else "below one grey level" if room > 125 else "< 1 level"
    end = layout.left + 6 + 5.8 * len(words)  # roughly where the words end
    taken = [p.accuracy.value or 0 for line in lines for p in line.points if x(p.budget.epsilon) <= end]
    clear = max((0.03, 0.3, 0.6), key=lambda share: min([0.15, *(abs(share - value) for value in taken)]))
    return "".join(
        (
            tag("rect", x=layout.left, y=layout.top, width=room, height=layout.floor - layout.top, class_="zone"),
            tag("text", text(words), x=layout.left + 6, y=y(clear), class_="tick"),
        )
    )


def curve(
    lines: Sequence[Line],
    clean: Estimate,
    marked: CurvePoint | None,
    marked_words: str,
    chance: float | None,
    layout: Layout,
) -> str:
    """Robust accuracy against epsilon: worst case bold with its band, attacks thin, unchanged images at the left."""
    norm = lines[0].points[0].budget.norm
    slot = layout.left + 16
    begin = layout.left + (54 if clean.value is not None else 14)
    x = axis_for([p.budget.epsilon for line in lines for p in line.points], begin, layout.width - layout.right - 8)
    y, out = shares(layout, "Images read correctly")
    if norm == "linf":
        out.insert(0, _below_one_level(x, y, lines, layout))
    scale = GREY_LEVELS if norm == "linf" else 1
    shown = Axis(x.low * scale, x.high * scale, x.start, x.stop, x.log)
    for tick in shown.ticks(layout.ticks):
        at = shown(tick)
        out.append(tag("line", x1=at, x2=at, y1=layout.floor, y2=layout.floor + 5, class_="axis"))
        out.append(tag("text", text(number(tick, 3)), x=at, y=layout.floor + 19, class_="tick middle"))
    out.append(
        tag("line", x1=layout.left, x2=layout.width - layout.right, y1=layout.floor, y2=layout.floor, class_="axis")
    )
    if chance is not None:
        out.append(
            tag("line", x1=layout.left, x2=layout.width - layout.right, y1=y(chance), y2=y(chance), class_="chance")
        )
        out.append(
            tag(
                "text",
                text(f"guessing {percent(chance, 0)}"),
                x=layout.width - layout.right - 4,
                y=y(chance) - 5,
                class_="tick end",
            )
        )
    styles = [style_of(i, line.kind) for i, line in enumerate(lines, start=-1)]
    proven, attacked = (next((line for line in lines if line.kind == kind), None) for kind in ("certified", "worst"))
    if proven and attacked:
        out.append(_bracket(proven, attacked, x, y))
    out.extend(_band(line, x, y) for line in lines if line.kind == "worst")
    out.extend(_line(line, style, x, y) for line, style in reversed(list(zip(lines, styles, strict=True))))
    if clean.value is not None:
        out.append(tag("text", text("0"), x=slot, y=layout.floor + 19, class_="tick middle"))
        out.append(_whisker(clean, slot, y))
        first = next((line.points[0] for line in lines if line.kind == "worst"), None)
        if first:
            ends = [(slot, y(clean.value)), (x(first.budget.epsilon), y(first.accuracy.value or 0))]
            out.append(path(ends, class_="line bridge"))
        out.append(
            tag(
                "circle",
                tag("title", text(f"unchanged: {clean.text}")),
                cx=slot,
                cy=y(clean.value),
                r=4.5,
                class_="dot clean",
            )
        )
    if marked:
        out.append(_mark(marked, marked_words, x, y, layout))
    if layout.direct_labels:
        out.append(_end_labels(lines, styles, x, y, layout))
    out.extend(titles(layout, *size_titles(norm, layout)))
    return document(layout.width, layout.height, *out, label=describe(lines, clean), class_=f"plot {layout.name}")


def describe(lines: Sequence[Line], clean: Estimate) -> str:
    """The plot in words, for those who do not see it."""
    worst = next((line for line in lines if line.kind == "worst"), lines[0])
    steps = worst.points if len(worst.points) <= 6 else worst.points[:: -(-len(worst.points) // 6)]
    told = ", ".join(f"{p.accuracy.text} at {p.budget.short}" for p in steps)
    start = f"{clean.text} unchanged, then " if clean.value is not None else ""
    return f"Line chart of images read correctly against the size of the change. {worst.name}: {start}{told}."


def referral(
    fractions: Sequence[float], series: Sequence[tuple[str, str, Sequence[float | None]]], layout: Layout
) -> str:
    """Accuracy on the images kept, against the share sent to a person; the axis starts just below the lowest value."""
    known = [v for _, _, values in series for v in values if v is not None]
    base = max(0.0, math.floor(20 * min(known) - 0.5) / 20)
    x = Axis(min(fractions), max(fractions), layout.left + 10, layout.width - layout.right - 8)
    y = Axis(base, 1, layout.floor, layout.top)
    out = [tag("text", text("Accuracy on the images kept"), x=0, y=13, class_="axis-title")]
    for share in y.ticks(6):
        at = y(share)
        out.append(tag("line", x1=layout.left, x2=layout.width - layout.right, y1=at, y2=at, class_="grid"))
        out.append(tag("text", text(f"{100 * share:.0f}%"), x=layout.left - 8, y=at + 4, class_="tick end"))
    for share in x.ticks(6):
        out.append(tag("text", text(f"{100 * share:.0f}%"), x=x(share), y=layout.floor + 19, class_="tick middle"))
    drawn = []
    for name, style, values in series:
        points = [(f, v) for f, v in zip(fractions, values, strict=True) if v is not None]
        if points:
            out.append(path([(x(f), y(v)) for f, v in points], class_=f"line {style}"))
            line = Line(name, style, tuple(CurvePoint(Budget("", f), Estimate(v)) for f, v in points))
            drawn.append(line)
    if layout.direct_labels and drawn:
        out.append(_end_labels(drawn, [line.kind for line in drawn], x, y, layout))
    out.extend(titles(layout, "Share of images sent to a person"))
    told = "; ".join(f"{n}: from {percent(v[0])} to {percent(v[-1])}" for n, _, v in series if v)
    return document(layout.width, layout.height, *out, label=f"Line chart. {told}.", class_=f"plot {layout.name}")


def strip(accuracy: Estimate, style: str = "") -> str:
    """A dot with its interval from 0 to 100%, for a row of a table that has the numbers; screen readers skip it."""
    if accuracy.value is None:
        return ""
    x = Axis(0, 1, 5, 155)
    out = [tag("line", x1=5, x2=155, y1=9, y2=9, class_="grid")]
    if accuracy.low is not None and accuracy.high is not None:
        out.append(tag("line", x1=x(accuracy.low), x2=x(accuracy.high), y1=9, y2=9, class_=f"whisker {style}"))
    out.append(tag("circle", cx=x(accuracy.value), cy=9, r=4, class_=f"dot {style or 'worst'}"))
    return tag("svg", *out, viewBox="0 0 160 18", aria_hidden="true", class_="strip")
