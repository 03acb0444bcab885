"""The decision boundary in a plane, untouched and at a budget, of audits with explain=on."""

from __future__ import annotations

from math import inf

from ...auditing.explained import EXPLAIN
from ...report.measured import mapping
from ...report.sections.boundary import planes
from .part import Asked, Part, Shown


def boundary(asked: Asked) -> Shown:
    """The plane with the unchanged images, and with those at the budget that is nearest to the one asked for."""
    found = mapping(asked.read(EXPLAIN).get("boundary"))
    if not found or found.get("reason"):
        return (), str(found.get("reason") or "its audit was not asked for a map of the boundary (explain=on)")
    shown = planes(found)
    budgets = [float(epsilon) for epsilon in found["budgets"]]
    far = [abs(epsilon - asked.epsilon) if asked.epsilon else inf for epsilon in budgets]
    last = 1 + (far.index(min(far)) if asked.epsilon else len(budgets) - 1)
    pictures = [shown.pictures[i] for i in dict.fromkeys((0, last))]
    legend = tuple(shown.legend)
    parts = (Part("", svg=one["svg"], words=one["told"], legend=legend) for one in pictures)
    return tuple(parts), shown.caution
