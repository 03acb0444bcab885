"""Which class is read as which."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..measured import Json, class_name
from ..words import Budget, percent
from .section import Section, Seen

NUM_PAIRS = 10  # misreadings drawn as bars


def _flips(audit: Json, counts: Any) -> list[tuple[str, str, int]]:
    """Misreadings (true class, read as, images), the most frequent first.

    They come as rows {from, to, count} or as a mapping {true: {read: n}}.
    """
    if isinstance(counts, Mapping):
        counts = [{"from": a, "to": b, "count": n} for a, row in counts.items() for b, n in row.items()]
    found = [(class_name(audit, row["from"]), class_name(audit, row["to"]), int(row["count"])) for row in counts]
    return sorted((flip for flip in found if flip[2] > 0 and flip[0] != flip[1]), key=lambda flip: -flip[2])


def directions(audit: Json, wanted: Budget | None) -> dict[str, Any] | None:
    """Which class is read as which: the most frequent at the wanted budget (or the nearest), and all of them."""
    if wanted is None:
        return None
    rows = [row for row in audit.get("direction") or () if row.get("norm", wanted.norm) == wanted.norm]
    tables = [(Budget(wanted.norm, float(row["epsilon"])), _flips(audit, row["counts"])) for row in rows]
    tables.sort(key=lambda table: table[0].epsilon)
    filled = [table for table in tables if table[1]]
    if not filled:
        return None
    budget, flips = min(filled, key=lambda table: wanted.far(table[0]))
    total, most = sum(n for _, _, n in flips), flips[0][2]
    bars = [
        {"was": was, "read": read, "count": n, "width": 100 * n / most, "share": percent(n / total, 0)}
        for was, read, n in flips[:NUM_PAIRS]
    ]
    pairs = sorted({(was, read) for _, found in tables for was, read, _ in found})
    counted_by = [{(was, read): n for was, read, n in found} for _, found in tables]
    table = [(b, [by.get(pair, 0) for pair in pairs]) for (b, _), by in zip(tables, counted_by, strict=True)]
    hidden = max(0, len(flips) - NUM_PAIRS)
    return {"budget": budget, "total": total, "bars": bars, "hidden": hidden, "pairs": pairs, "table": table}


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    return {"directions": directions(seen.audit, seen.budget)}


SECTION = Section(
    "direction", "What is mistaken for what", "Mistaken for what", Path(__file__).with_suffix(".html.j2"), build
)
