"""A small curve of robust accuracy for notebooks: one SVG with its own colors, nothing else needed."""

from __future__ import annotations

from collections.abc import Sequence

from ..numbers import epsilon_text
from ..svg import axis_for, document, path, tag, text
from .curves import WORST_CASE, Curve

WIDTH, HEIGHT = 460.0, 240.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 330.0, 24.0, 200.0
INK, BOLD = "#777777", "#b3261e"
THIN = ("#8a8f98", "#5b7fa6", "#7a9a6d", "#a58a4f", "#8d6a9f", "#5f9a9a")


def curve_svg(curves: Sequence[Curve]) -> str:
    """Curves of one norm, the worst case bold. A budget of 0 is left out of the axis.

    Example:
        >>> import numpy as np
        >>> curve = Curve("pgd", "linf", np.array([0.01, 0.02]), np.array([[True, False]]))
        >>> curve_svg([curve]).startswith("<svg")
        True
    """
    budgets = sorted({e for curve in curves for e in curve.epsilons.tolist() if e > 0})
    if not budgets:
        return ""
    norm = curves[0].norm
    axis = axis_for(budgets, LEFT, RIGHT)
    parts = [_label(LEFT, TOP - 10, f"robust accuracy against epsilon ({norm})")]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _height(share)
        parts += [path([(LEFT, y), (RIGHT, y)], stroke=INK, stroke_width=0.3), _label(8, y + 4, f"{share:.0%}")]
    for tick in axis.ticks(5):
        parts.append(_label(axis(tick) - 12, BOTTOM + 16, epsilon_text(tick, norm)))
    colors = iter(THIN * (len(curves) // len(THIN) + 1))
    for number, curve in enumerate(curves):
        bold = curve.attack == WORST_CASE
        color = BOLD if bold else next(colors)
        points = [
            (axis(e), _height(float(share)))
            for e, share in zip(curve.epsilons.tolist(), curve.counted.mean(0), strict=True)
            if e > 0
        ]
        parts.append(path(points, stroke=color, fill="none", stroke_width=2.4 if bold else 1.2))
        parts.append(_label(RIGHT + 14, TOP + 16 * (number + 1), curve.attack.replace("_", " "), color))
    said = f"Robust accuracy against epsilon, {norm}, {len(curves)} curves"
    return document(WIDTH, HEIGHT, *parts, label=said, class_="medrobust-curve")


def _height(share: float) -> float:
    return BOTTOM - share * (BOTTOM - TOP)


def _label(x: float, y: float, words: str, color: str = INK) -> str:
    return tag("text", text(words), x=float(x), y=float(y), font_size=11, font_family="sans-serif", fill=color)
