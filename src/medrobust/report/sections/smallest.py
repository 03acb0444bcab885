"""How much change each image needs: the distribution of smallest changes, without the grid of budgets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..distribution import smallest_changes
from ..figures import LOW_NARROW, LOW_WIDE
from ..measured import Json, mapping, worst_line
from ..words import Budget, counted, number, percent
from .section import Section, Seen


def size(norm: str, change: float) -> str:
    """A change of any size in words: three digits, in grey levels for linf.

    Example:
        >>> size("linf", 0.0047 / 255 * 10), size("l2", 0.12345), size("linf", 1 / 255)
        ('0.047 grey levels', '0.123 (L2)', '1 grey level')
    """
    found = Budget(norm, change)
    if found.is_severity:
        return found.short
    shown = number(change if found.grey_levels is None else found.grey_levels, 3)
    return f"{shown} ({norm.upper()})" if norm != "linf" else f"{shown} grey level{'' if shown == '1' else 's'}"


def distributions(audit: Json) -> list[dict[str, Any]]:
    """One entry per norm: the figure in both forms, and what it says in a sentence."""
    raw = audit.get("sensitivity") or ()
    found = []
    for row in [raw] if isinstance(raw, Mapping) else raw:
        norm, told = str(row["norm"]), mapping(row.get("ecdf"))
        points = [(float(change), float(share)) for change, share in told.get("points") or () if change > 0]
        if not points:
            continue
        line = worst_line(audit, norm)
        stop = max(points[-1][0], line.points[-1].budget.epsilon if line else 0.0)
        few, half = (next((change for change, share in points if share >= part), None) for part in (0.05, 0.5))
        never = int(told.get("num_never") or 0)
        count = int(told.get("num_images") or 0)
        found.append(
            {
                "norm": norm,
                "figures": [smallest_changes(points, norm, stop, form) for form in (LOW_WIDE, LOW_NARROW)],
                "first": size(norm, points[0][0]),
                "few": "" if few is None else size(norm, few),
                "half": "" if half is None else size(norm, half),
                "last": Budget(norm, stop).short,
                "count": counted(count, "image"),
                "never": f"{never:,} ({percent(never / count)})" if never and count else "",
            }
        )
    return found


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    return {"distributions": distributions(seen.audit)}


SECTION = Section(
    "smallest", "How much change each image needs", "Smallest changes", Path(__file__).with_suffix(".html.j2"), build
)
