"""Inline SVG: escaped tags, axes that know their ticks, and the frame that every plot of the report shares.

Colors and strokes are classes of style.css, so one drawing serves light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


def tag(name: str, *children: str, **attributes: object) -> str:
    """One element; children are markup already, attributes are escaped; class_ and stroke_width lose their underscores.

    Example:
        >>> tag("text", text("a < b"), x=1.25, class_="note")
        '<text x="1.2" class="note">a &lt; b</text>'
    """
    parts = []
    for key, value in attributes.items():
        if value is not None:
            shown = f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
            parts.append(f' {key.rstrip("_").replace("_", "-")}="{escape(shown)}"')
    return f"<{name}{''.join(parts)}>{''.join(children)}</{name}>" if children else f"<{name}{''.join(parts)}/>"


def text(words: object) -> str:
    """Words made safe as content."""
    return escape(str(words))


@dataclass(frozen=True)
class Axis:
    """Values from low to high onto pixels from start to stop, linear or logarithmic.

    Example:
        >>> axis = Axis(0.1, 10, 0, 200, log=True)
        >>> axis(1.0), axis.ticks(5)
        (100.0, [0.1, 0.3, 1.0, 3.0, 10.0])
        >>> Axis(0, 8, 0, 80).ticks(5)
        [0.0, 2.0, 4.0, 6.0, 8.0]
    """

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, value: float) -> float:
        if self.high <= self.low:
            return (self.start + self.stop) / 2
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)

    def ticks(self, most: int) -> list[float]:
        """Round numbers inside the axis, at most this many."""
        if self.high <= self.low:
            return [self.low]
        if not self.log:
            span = self.high - self.low
            for step in (m * 10.0**e for e in range(-9, 9) for m in (1, 2, 5)):
                if span / step <= most - 1 + 1e-9:
                    first = math.ceil(self.low / step - 1e-9)
                    return [round(k * step, 10) for k in range(first, math.floor(self.high / step + 1e-9) + 1)]
        decades = range(math.floor(math.log10(self.low)) - 1, math.ceil(math.log10(self.high)) + 1)
        candidates: list[float] = []
        for steps in ((1, 2, 5), (1, 3), (1,)):
            candidates = [round(m * 10.0**e, 12) for e in decades for m in steps]
            candidates = [c for c in candidates if self.low * (1 - 1e-9) <= c <= self.high * (1 + 1e-9)]
            if len(candidates) <= most:
                return candidates
        return candidates[:: math.ceil(len(candidates) / most)]


def axis_for(values: Sequence[float], start: float, stop: float) -> Axis:
    """An axis over these values: logarithmic when they span a decade or more."""
    low, high = min(values), max(values)
    return Axis(low, high, start, stop, log=low > 0 and high / low >= 10 * (1 - 1e-9))


def path(points: Sequence[tuple[float, float]], **attributes: object) -> str:
    """A line through points."""
    return tag("path", d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points), **attributes)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions at least gap apart and inside [low, high], near the wanted ones and in their order.

    Example:
        >>> spread([10, 10, 50], 12, 0, 60)
        [10, 22, 50]
        >>> spread([58, 59], 12, 0, 60)
        [48, 60]
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = [0.0] * len(wanted)
    at = low - gap
    for i in order:
        at = placed[i] = max(wanted[i], at + gap)
    limit = high + gap
    for i in reversed(order):
        limit = placed[i] = min(placed[i], limit - gap)
    return placed


def document(width: float, height: float, *children: str, label: str, class_: str) -> str:
    """The outer element: scales with the page, and is one image with a description to a screen reader."""
    return tag(
        "svg", *children, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label, class_=class_, xmlns=None
    )
