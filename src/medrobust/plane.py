"""A plane of points over regions, as SVG: what a classifier answers there, and what the points truly are.

The drawing has its own colors for light, dark and print, so that one drawing serves a report and a file of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .svg import document, tag, text

SIDE, TOP, ROW = 320, 24, 18  # of the plane, of the line above it, of a line of the legend
COLORS = 8  # classes that are told apart; the rarest of more share the last
LEAST_DEPTH = 5  # cells around the name of a region
LIGHT = ("#0b5a9c", "#b84a06", "#00755a", "#a0457e", "#7d6000", "#5b4bb0", "#0f7a92", "#66707c")
DARK = ("#6fb3f2", "#f39a68", "#45c19b", "#df8cbf", "#e0c04f", "#a99bf0", "#5fd3e8", "#a2abb6")
OTHERS = "other classes"
METHODS = {"tsne": "t-SNE", "umap": "UMAP", "none": "the features themselves, which are a plane"}
KEY = (("untouched", False, False), ("changed by an attack", True, False), ("outlined: read wrong", False, True))


class Mark(NamedTuple):
    """A point of the plane.

    Args:
        x, y: where it is.
        truth: its true class.
        attacked: it is an image that an attack changed.
        wrong: the classifier reads it as another class.
        words: shown when it is pointed at.
    """

    x: float
    y: float
    truth: int
    attacked: bool
    wrong: bool
    words: str


class Plane(NamedTuple):
    """What lies under the points.

    Args:
        box: left, bottom, right and top of the plane.
        fills: the class answered in each cell, rows from the bottom, cells from the left.
        names: of the classes.
        colors: of each class, the number of its color; see colors_of.
    """

    box: tuple[float, float, float, float]
    fills: Sequence[Sequence[int]]
    names: Sequence[str]
    colors: Sequence[int]


class Points(NamedTuple):
    """Images in a plane, untouched and at each budget, as plain values.

    Args:
        places: m pairs (x, y), and answers: m classes, of all points.
        at: for untouched and each budget, which of the m each of n images is.
        labels: n true classes; ids: n names; classes: the names of the classes.
    """

    places: Sequence[Sequence[float]]
    answers: Sequence[int]
    at: Sequence[Sequence[int]]
    labels: Sequence[int]
    ids: Sequence[str]
    classes: Sequence[str]

    def marks(self, row: int) -> list[Mark]:
        """The points of a picture: 0 is untouched, then one for each budget; each is colored by its own image."""
        out = []
        for point, clean, label, name in zip(self.at[row], self.at[0], self.labels, self.ids, strict=True):
            answer = self.answers[point]
            words = f"{name}: {self.classes[label]}, read as {self.classes[answer]}"
            x, y = self.places[point]
            out.append(Mark(x, y, label, point != clean, answer != label, words))
        return out


def caution(method: str, kept: float, k: int, trustworthiness: float, agrees: float) -> str:
    """What a plane cannot show, in one sentence with what was measured.

    Args:
        method: of METHODS.
        kept: the share of the k nearest neighbors in feature space that are among the k nearest in the plane.
        trustworthiness: of the plane.
        agrees: the share of the points whose area shows their own answer.

    Example:
        >>> caution("tsne", 0.5, 11, 0.9, 1.0)[:75]
        'Distances and boundaries in this plane are not those of the network: of the'
    """
    return (
        f"Distances and boundaries in this plane are not those of the network: of the {k} nearest neighbors that a"
        f" point has in feature space {100 * kept:.0f}% are among its {k} nearest in the plane ({METHODS[method]};"
        f" trustworthiness {trustworthiness:.2f}, where 1 is perfect), and the area under {100 * agrees:.0f}% of the"
        " points shows the answer that the point itself has."
    )


def told(marks: Sequence[Mark]) -> str:
    """A picture in words.

    Example:
        >>> told([Mark(0.0, 0.0, 0, False, False, "")])
        '1 image, 0 changed by an attack, 0 read wrong.'
    """
    changed, wrong = sum(mark.attacked for mark in marks), sum(mark.wrong for mark in marks)
    noun = "image" if len(marks) == 1 else "images"
    return f"{len(marks)} {noun}, {changed} changed by an attack, {wrong} read wrong."


def colors_of(seen: Iterable[int], num_classes: int) -> list[int]:
    """The color of each class: its own number, or where there are more classes than colors one by how often it is seen.

    Example:
        >>> colors_of([0, 1, 1], 2), colors_of([9, 9, 3], 10)
        ([0, 1], [2, 3, 4, 1, 5, 6, 7, 7, 7, 0])
    """
    if num_classes <= COLORS:
        return list(range(num_classes))
    often = Counter(seen)
    kept = sorted(range(num_classes), key=lambda k: (-often[k], k))[: COLORS - 1]
    first = {k: place for place, k in enumerate(kept)}
    rest = [k for k in range(num_classes) if k not in first]
    return [first.get(k, COLORS - 1) for k in range(num_classes)] if rest else list(range(num_classes))


def style() -> str:
    """The colors, as a style element inside of the drawing."""

    def colors(values: Sequence[str], page: str, ink: str) -> str:
        kinds = "".join(f".plane .k{i}{{fill:{value}}}" for i, value in enumerate(values))
        kinds += f".plane .page{{fill:{page}}}.plane .bar{{fill:{ink}}}"
        return f"{kinds}.plane .at{{stroke:{page}}}.plane .wrong{{stroke:{ink}}}.plane text{{fill:{ink};stroke:{page}}}"

    fixed = ".plane text{font:12px system-ui,sans-serif;paint-order:stroke;stroke-width:3px;stroke-linejoin:round}"
    fixed += (
        ".plane .at{stroke-width:.7}.plane .wrong{stroke-width:1.3}.plane .in{opacity:.24}.plane .ribbon{opacity:.6}"
    )
    fixed += ".plane .head{font-weight:600}.plane .name{text-anchor:middle}"
    light, dark = colors(LIGHT, "#fdfdfc", "#1b2026"), colors(DARK, "#14171b", "#e4e7ea")
    print_ = colors(LIGHT, "#fff", "#000")
    return tag("style", f"{fixed}{light}@media (prefers-color-scheme:dark){{{dark}}}@media print{{{print_}}}")


def plane_svg(plane: Plane, marks: Sequence[Mark], heading: str, words: str, legend: bool = False) -> str:
    """The plane: regions filled by what is answered there, markers colored by what is true.

    Args:
        plane: the regions.
        marks: the points; those that an attack changed lie above the others.
        heading: a few words above the plane.
        words: a sentence for those who do not see it.
        legend: with the names of the colors and signs below, for a file of its own.

    Example:
        >>> plane = Plane((0, 0, 1, 1), [[0, 1]], ("a", "b"), (0, 1))
        >>> drawn = plane_svg(plane, [Mark(0.25, 0.5, 1, False, True, "an image")], "Untouched", "One image.")
        >>> drawn.count('class="k1 at wrong"')
        1
    """
    parts = [tag("title", text(heading)), tag("desc", text(words)), style()]
    if legend:  # a file may be shown on any background
        parts.append(tag("rect", width="100%", height="100%", class_="page"))
    parts += [tag("text", text(heading), x=0, y=14, class_="head"), *_regions(plane)]
    parts += [_mark(plane, mark) for mark in sorted(marks, key=lambda mark: mark.attacked)]
    parts += _names(plane)
    lines = _legend(plane, marks) if legend else []
    height = TOP + SIDE + (12 + ROW * len(lines) if lines else 0)
    return document(SIDE, height, *parts, *lines, label=f"{heading}. {words}", class_="plot plane")


def plane_file(plane: Plane, marks: Sequence[Mark], heading: str, words: str) -> str:
    """plane_svg with its legend, as the text of an SVG file."""
    drawn = plane_svg(plane, marks, heading, words, legend=True)
    return drawn.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1) + "\n"


def _regions(plane: Plane) -> list[str]:
    """A path for each color, of the runs of equal cells; cells are 1 x 1 before they are scaled."""
    rows = len(plane.fills)
    runs: dict[int, list[str]] = {}
    for r, row in enumerate(plane.fills):
        begin = 0
        for c in range(1, len(row) + 1):
            if c == len(row) or row[c] != row[begin]:
                run = f"M{begin} {rows - 1 - r}h{c - begin}v1h-{c - begin}z"
                runs.setdefault(plane.colors[row[begin]], []).append(run)
                begin = c
    drawn = (tag("path", d="".join(found), class_=f"k{color}") for color, found in sorted(runs.items()))
    scale = f"translate(0 {TOP}) scale({SIDE / len(plane.fills[0]):.4f} {SIDE / rows:.4f})"
    return [tag("g", *drawn, class_="in", transform=scale, shape_rendering="crispEdges")]


def _at(plane: Plane, x: float, y: float) -> tuple[float, float]:
    left, bottom, right, top = plane.box
    return SIDE * (x - left) / (right - left), TOP + SIDE * (top - y) / (top - bottom)


def _sign(x: float, y: float, attacked: bool, class_: str, *inside: str) -> str:
    if attacked:
        return tag("path", *inside, d=f"M{x:.1f} {y - 4:.1f}l4 4-4 4-4-4z", class_=class_)
    return tag("circle", *inside, cx=x, cy=y, r=3.0, class_=class_)


def _mark(plane: Plane, mark: Mark) -> str:
    x, y = _at(plane, mark.x, mark.y)
    wrong = " wrong" if mark.wrong else ""
    return _sign(x, y, mark.attacked, f"k{plane.colors[mark.truth]} at{wrong}", tag("title", text(mark.words)))


def _names(plane: Plane) -> list[str]:
    """The name of each class where its region is deepest, if it has room there."""
    fills, width = plane.fills, len(plane.fills[0])
    deepest: dict[int, tuple[int, int, int]] = {}
    depth = [[0] * width for _ in fills]
    order = [(r, c) for r in range(len(fills)) for c in range(width)]
    for step, cells in ((-1, order), (1, order[::-1])):
        for r, c in cells:
            near = []
            for i, j in ((r + step, c), (r, c + step)):
                same = 0 <= i < len(fills) and 0 <= j < width and fills[i][j] == fills[r][c]
                near.append(depth[i][j] if same else 0)
            found = 1 + min(near)
            depth[r][c] = found if step < 0 else min(depth[r][c], found)
    for r, c in order:
        k = fills[r][c]
        if depth[r][c] > deepest.get(k, (LEAST_DEPTH - 1, 0, 0))[0]:
            deepest[k] = (depth[r][c], r, c)
    out = []
    for k, (_, r, c) in sorted(deepest.items()):
        name = plane.names[k] if len(plane.names[k]) <= 18 else plane.names[k][:17] + "\u2026"
        half = 3.2 * len(name)  # roughly half of its width
        x = min(max(SIDE * (c + 0.5) / width, half), SIDE - half)
        y = TOP + SIDE * (1 - (r + 0.5) / len(fills)) + 4
        out.append(tag("text", text(name), x=x, y=y, class_="name"))
    return out


def used(plane: Plane, marks: Sequence[Mark]) -> list[tuple[int, str]]:
    """(color, name) of the classes in a picture; the classes that share the last color are one."""
    seen = {k for row in plane.fills for k in row} | {mark.truth for mark in marks}
    shared = len(plane.names) > COLORS
    own = [(plane.colors[k], plane.names[k]) for k in sorted(seen) if not (shared and plane.colors[k] == COLORS - 1)]
    rest = any(shared and plane.colors[k] == COLORS - 1 for k in seen)
    return own + [(COLORS - 1, OTHERS)] * rest


def sign_svg(color: int, attacked: bool, wrong: bool) -> str:
    """One marker, for a legend."""
    sign = _sign(7.0, 7.0, attacked, f"k{color} at{' wrong' if wrong else ''}")
    return tag("svg", sign, viewBox="0 0 14 14", width=14, height=14, aria_hidden="true", class_="plane")


def _legend(plane: Plane, marks: Sequence[Mark]) -> list[str]:
    rows = [(color, False, False, f"{name} (marker: truth, area: answer)") for color, name in used(plane, marks)]
    rows += [(COLORS - 1, attacked, wrong, words) for words, attacked, wrong in KEY]
    out = []
    for i, (color, attacked, wrong, words) in enumerate(rows):
        y = TOP + SIDE + 18.0 + ROW * i
        sign = _sign(7.0, y - 4, attacked, f"k{color} at{' wrong' if wrong else ''}")
        out.append(tag("g", sign, tag("text", text(words), x=20, y=y)))
    return out
