"""Accuracy of each class, age, sex, site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..measured import Estimate, Json, estimate
from ..words import Budget, plain
from .clean import per_class
from .section import Section, Seen


def groups(audit: Json, wanted: Budget | None) -> dict[str, Any] | None:
    """Accuracy by group, untouched and at the wanted budget (or the nearest), and a sentence on each column."""
    by_column: dict[str, list[dict[str, Any]]] = {}
    budget = None
    for row in audit.get("groups") or ():
        found = (
            [(Budget(r.get("norm") or wanted.norm, r["epsilon"]), r) for r in row["robust_accuracy"]] if wanted else []
        )
        found = [(b, r) for b, r in found if b.epsilon > 0 and wanted and b.norm == wanted.norm]
        best: Any = None
        if wanted and found:
            budget, best = min(found, key=lambda pair: wanted.far(pair[0]))
        by_column.setdefault(str(row["column"]), []).append(
            {
                "value": plain(row["value"]),
                "num_images": int(row["num_images"]),
                "clean": estimate(row.get("clean_accuracy")) or Estimate(None),
                "robust": estimate(best) or Estimate(None),
            }
        )
    columns = [
        {"name": name.removeprefix("meta_").replace("_", " "), "rows": rows, "said": _difference(rows)}
        for name, rows in by_column.items()
    ]
    return {"columns": columns, "budget": budget} if columns else None


def _difference(rows: list[dict[str, Any]]) -> str:
    said, compared = [], False
    for key, when in (("clean", "untouched"), ("robust", "changed")):
        known = [row for row in rows if row[key].range]
        if len(known) > 1:
            compared = True
            low, high = min(known, key=lambda r: r[key].high), max(known, key=lambda r: r[key].low)
            if low[key].high < high[key].low:
                said.append(
                    f"{when}, {low['value']} is read worse than {high['value']} and their intervals do not overlap"
                )
    if said:
        text = "; ".join(said)
        return f"{text[0].upper()}{text[1:]}."
    return "The intervals overlap: this run shows no sure difference." if compared else ""


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    return {"groups": groups(seen.audit, seen.budget), "classes": per_class(seen.audit)}


SECTION = Section("groups", "Does it differ between groups?", "Groups", Path(__file__).with_suffix(".html.j2"), build)
