"""Who went where, as a flow: answers untouched on the left, answers now on the right, ribbons as thick as counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..plane import COLORS, style
from ..svg import document, tag, text
from .measured import Json
from .words import counted

HEIGHT, TOP, GAP, BAR = 260, 26, 22, 7  # of all images, above them, between classes, and the width of a class's bar


class Form(NamedTuple):
    """Widths of one form of the picture, and the longest name that it has room for."""

    name: str
    width: float
    side: float
    letters: int


Bars = dict[int, tuple[float, int]]
FORMS = (Form("wide", 760, 190, 24), Form("narrow", 344, 92, 9))


class Ribbon(NamedTuple):
    """Images of a true class with the same answer before and the same answer after."""

    truth: int
    before: int
    after: int
    images: int


def ribbons(clean: Sequence[Sequence[int]], flows: Iterable[Json]) -> list[Ribbon]:
    """All images of a confusion matrix, those that went elsewhere and those that stayed.

    Args:
        clean: images by true class and answer untouched.
        flows: those whose answer changed, as audit.json has them.

    Example:
        >>> ribbons([[3, 0], [1, 2]], [{"class": 1, "from": 1, "to": 0, "images": 2}])
        [Ribbon(truth=0, before=0, after=0, images=3),
         Ribbon(truth=1, before=0, after=0, images=1),
         Ribbon(truth=1, before=1, after=0, images=2)]
    """
    moved = [Ribbon(int(row["class"]), int(row["from"]), int(row["to"]), int(row["images"])) for row in flows]
    stay = {(c, a): n for c, row in enumerate(clean) for a, n in enumerate(row)}
    for one in moved:
        stay[one.truth, one.before] -= one.images
    kept = [Ribbon(c, a, a, n) for (c, a), n in stay.items() if n > 0]
    return sorted([*kept, *moved])


def _places(found: Sequence[Ribbon], side: str, unit: float) -> tuple[dict[Ribbon, float], Bars]:
    """The top of each ribbon on one side, and of each class its top and its images."""
    other = "after" if side == "before" else "before"
    tops: dict[Ribbon, float] = {}
    bars: Bars = {}
    at, last = float(TOP), None
    for one in sorted(found, key=lambda r: (getattr(r, side), getattr(r, other), r.truth)):
        k = getattr(one, side)
        at += GAP if last not in (None, k) else 0
        top, count = bars.get(k, (at, 0))
        bars[k] = (top, count + one.images)
        tops[one], last = at, k
        at += unit * one.images
    return tops, bars


def flow_svg(classes: Sequence[str], found: Sequence[Ribbon], form: Form) -> str:
    """The picture; nothing for more than 8 classes, or without images.

    Args:
        classes: names.
        found: every image once, see `ribbons`.
        form: wide or narrow.

    Example:
        >>> flow_svg(["a", "b"], [Ribbon(0, 0, 1, 3), Ribbon(0, 0, 0, 1)], FORMS[0]).count('class="ribbon k0"')
        2
    """
    total = sum(one.images for one in found)
    if not total or len(classes) > COLORS:
        return ""
    unit = HEIGHT / total
    (left, left_bars), (right, right_bars) = (_places(found, side, unit) for side in ("before", "after"))
    x0, x1 = form.side + BAR, form.width - form.side - BAR
    middle = (x0 + x1) / 2
    out = [style(), tag("text", text("Read untouched"), x=form.side + BAR, y=13, class_="axis-title end")]
    out.append(tag("text", text("Read after"), x=form.width - form.side - BAR, y=13, class_="axis-title"))
    for one in found:
        a, b, thick = left[one], right[one], unit * one.images
        curve = f"M{x0:.1f} {a:.2f}C{middle:.1f} {a:.2f} {middle:.1f} {b:.2f} {x1:.1f} {b:.2f}v{thick:.2f}"
        curve += f"C{middle:.1f} {b + thick:.2f} {middle:.1f} {a + thick:.2f} {x0:.1f} {a + thick:.2f}z"
        truth, before, after = (classes[k] for k in one[:3])
        words = f"{counted(one.images, 'image')} of {truth}: {before}, then {after}"
        out.append(tag("path", tag("title", text(words)), d=curve, class_=f"ribbon k{one.truth}"))
    for bars, x, label, side in ((left_bars, form.side, -6, "tick end"), (right_bars, x1, BAR + 6, "tick")):
        for k, (top, count) in sorted(bars.items()):
            name = classes[k] if len(classes[k]) <= form.letters else classes[k][: form.letters - 1] + "\u2026"
            thick = unit * count
            out.append(tag("rect", x=x, y=f"{top:.2f}", width=BAR, height=f"{thick:.2f}", class_="bar"))
            out.append(tag("text", text(f"{name} {count}"), x=x + label, y=top + thick / 2 + 4, class_=side))
    height = TOP + HEIGHT + GAP * (max(len(left_bars), len(right_bars)) - 1) + 8
    said = "; ".join(
        f"{counted(one.images, 'image')} of {classes[one.truth]} from {classes[one.before]} to {classes[one.after]}"
        for one in found
        if one.before != one.after
    )
    label_ = f"Flow of answers, untouched to changed. {said or 'No answer changed'}."
    return document(form.width, height, *out, label=label_, class_=f"plot plane {form.name}")
