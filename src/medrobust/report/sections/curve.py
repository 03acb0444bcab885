"""How accuracy falls as the change grows: a figure and a table for each norm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import figures
from ..measured import Json, broken_share, class_names, clean_accuracy, focus, lines, name_of, norms
from ..words import percent
from .section import Section, Seen


def numbers_table(audit: Json, norm: str) -> dict[str, Any]:
    """All robust accuracies of a norm: one row per budget, one column per line of the figure."""
    drawn = lines(audit, norm)
    budgets = sorted({p.budget for line in drawn for p in line.points}, key=lambda b: b.epsilon)
    rows = [(budget, [point.accuracy if (point := line.at(budget)) else None for line in drawn]) for budget in budgets]
    rises = [
        (p.raw - p.accuracy.value, line.name, p.budget)
        for line in drawn
        for p in line.points
        if p.raw is not None and p.accuracy.value is not None
    ]
    rise = max(rises, key=lambda r: r[0], default=None)
    return {"names": [line.name for line in drawn], "rows": rows, "rise": rise if rise and rise[0] > 5e-4 else None}


def _curve(audit: Json, norm: str) -> dict[str, Any]:
    """The figure of a norm in both forms, its legend, its table, and the budgets that the text names."""
    drawn = lines(audit, norm)
    worst, point, clean = drawn[0], focus(audit), clean_accuracy(audit)
    marked = point if point and point.budget.norm == norm else None
    what = "of correct images lost" if clean.value is not None else "of images misread"
    lost = f"{percent(broken_share(audit, marked), 0)} {what}" if marked else ""
    count = len(class_names(audit))
    chance = 1 / count if count > 1 else None
    forms = (figures.WIDE, figures.NARROW)
    return {
        "norm": norm,
        "figures": [figures.curve(drawn, clean, marked, lost, chance, form) for form in forms],
        "legend": [(figures.style_of(i, line.kind), line.name) for i, line in enumerate(drawn, start=-1)],
        "table": numbers_table(audit, norm),
        "told": list(dict.fromkeys([worst.points[0], *([marked] if marked else []), worst.points[-1]])),
        "worst": worst,
    }


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    curves = [_curve(seen.audit, norm) for norm in norms(seen.audit)]
    as_published = name_of(seen.audit.get("protocol", "")) == "paper"
    return {"curves": curves, "clean": clean_accuracy(seen.audit), "as_published": as_published}


SECTION = Section(
    "curve",
    "How accuracy falls as the change grows",
    "Accuracy under change",
    Path(__file__).with_suffix(".html.j2"),
    build,
)
