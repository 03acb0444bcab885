"""How accuracy falls as the change grows: a figure and a table for each norm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...records.metric_names import METRICS
from .. import figures
from ..measured import (
    Json,
    Line,
    broken_share,
    certified,
    class_names,
    clean_accuracy,
    estimate,
    focus,
    lines,
    mapping,
    name_of,
    norms,
)
from ..words import Budget, percent
from .section import Section, Seen


def _drawn(audit: Json, norm: str) -> list[Line]:
    """The lines of a norm, the certified one last: attacks keep their styles."""
    proven = certified(audit, norm)
    return [*lines(audit, norm), *([proven] if proven else [])]


def numbers_table(audit: Json, norm: str) -> dict[str, Any]:
    """All robust accuracies of a norm: one row per budget, one column per line of the figure."""
    drawn = _drawn(audit, norm)
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
    drawn = _drawn(audit, norm)
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


def without_certificate(audit: Json) -> str:
    """Why there is no lower bound, in a sentence; nothing where there is one."""
    raw = mapping(audit.get("certified"))
    if any(certified(audit, norm) for norm in norms(audit)):
        return ""
    if raw.get("rows"):
        return "No certificate: at none of these sizes could any image be proven to keep its answer."
    reason = str(raw.get("reason") or "none was asked for").strip().rstrip(".").removeprefix("no certificate: ")
    return f"No certificate: {reason}. The true share lies at or below the worst case, and may be zero."


def under_attack(audit: Json) -> list[dict[str, Any]]:
    """Metrics of the changed images by budget, where the audit has them: names, then one row per norm and budget."""
    tables = []
    for norm in norms(audit):
        rows = [row for row in audit.get("under_attack") or () if row.get("norm") == norm]
        rows.sort(key=lambda row: row["epsilon"])
        keys = list(dict.fromkeys(key for row in rows for key in mapping(row.get("metrics"))))
        body = [
            (Budget(norm, float(row["epsilon"])).fraction, [estimate(mapping(row["metrics"]).get(key)) for key in keys])
            for row in rows
        ]
        names = [METRICS[key].name if key in METRICS else key.replace("_", " ") for key in keys]
        tables += [{"norm": norm, "names": names, "rows": body}] if body else []
    return tables


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    curves = [_curve(seen.audit, norm) for norm in norms(seen.audit)]
    as_published = name_of(seen.audit.get("protocol", "")) == "paper"
    return {
        "curves": curves,
        "clean": clean_accuracy(seen.audit),
        "as_published": as_published,
        "certificate": mapping(seen.audit.get("certified")).get("words") or "",
        "no_certificate": without_certificate(seen.audit) if curves else "",
        "under_attack": under_attack(seen.audit),
    }


SECTION = Section(
    "curve",
    "How accuracy falls as the change grows",
    "Accuracy under change",
    Path(__file__).with_suffix(".html.j2"),
    build,
)
