"""Confusion matrices untouched and changed, and the images that went from one cell to another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...plane import COLORS, sign_svg
from ..measured import Json, class_name, class_names
from ..ribbons import FORMS, flow_svg, ribbons
from ..words import Budget, percent
from .section import Section, Seen

NUM_FLOWS = 12


def confusions(audit: Json, wanted: Budget | None) -> dict[str, Any] | None:
    """The matrix of the unchanged images, that at the wanted budget (or the nearest), and the moves between them."""
    rows = list(audit.get("confusion") or ())
    clean = next((row for row in rows if not row["epsilon"]), None)
    changed = [(Budget(row["norm"], float(row["epsilon"])), row) for row in rows if row["epsilon"]]
    changed = [(budget, row) for budget, row in changed if wanted and budget.norm == wanted.norm]
    if clean is None or wanted is None or not changed:
        return None
    budget, now = min(changed, key=lambda pair: wanted.far(pair[0]))
    flows = [
        {
            "truth": class_name(audit, flow["class"]),
            "before": class_name(audit, flow["from"]),
            "after": class_name(audit, flow["to"]),
            "count": flow["images"],
            "harm": "mended" if flow["to"] == flow["class"] else "lost" if flow["from"] == flow["class"] else "",
        }
        for flow in now["flows"]
    ]
    most = max((flow["count"] for flow in flows), default=1)
    classes = class_names(audit)
    every = ribbons(clean["matrix"], now["flows"])
    return {
        "classes": classes,
        "pictures": [flow_svg(classes, every, form) for form in FORMS] if len(classes) <= COLORS else [],
        "legend": [(sign_svg(k, False, False), name) for k, name in enumerate(classes)],
        "tables": [("Untouched", _cells(clean["matrix"])), (f"Under change of {budget.short}", _cells(now["matrix"]))],
        "budget": budget,
        "flows": [flow | {"width": 72 * flow["count"] / most} for flow in flows[:NUM_FLOWS]],
        "hidden": max(0, len(flows) - NUM_FLOWS),
    }


def _cells(matrix: list[list[int]]) -> list[list[str]]:
    """Images, and their share of the true class."""
    return [[f"{n} ({percent(n / sum(row), 0)})" if sum(row) else "0" for n in row] for row in matrix]


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    return {"confusions": confusions(seen.audit, seen.budget)}


SECTION = Section(
    "confusion",
    "Who is read as what, before and after",
    "Who went where",
    Path(__file__).with_suffix(".html.j2"),
    build,
)
