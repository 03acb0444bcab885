"""Accuracy on the rest when doubtful images go to a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import figures
from ..measured import Json, estimate
from ..words import percent
from .section import Section, Seen


def referral(audit: Json) -> dict[str, Any] | None:
    """Accuracy on the images kept, by three ways to choose those sent to a person."""
    rows = sorted(audit.get("referral") or (), key=lambda row: row["fraction"])
    ways = (
        ("accuracy", "Easiest to mislead", "worst"),
        ("baseline_confidence", "Least confident", "attack a0"),
        ("random", "At random", "attack a5"),
    )
    series = []
    for key, name, style in ways:
        found = [estimate(row.get(key)) for row in rows]
        values = [None if e is None else e.value for e in found]
        if any(v is not None for v in values):
            series.append((name, style, values))
    if len(rows) < 2 or not series:
        return None
    fractions = [float(row["fraction"]) for row in rows]
    at = min(range(len(rows)), key=lambda i: abs(fractions[i] - 0.2))
    told = [f"{name.lower()} {percent(v)}" for name, _, values in series if (v := values[at]) is not None]
    return {"fractions": fractions, "series": series, "at": percent(fractions[at], 0), "told": told}


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    found = referral(seen.audit)
    if found:
        forms = (figures.LOW_WIDE, figures.LOW_NARROW)
        found["figures"] = [figures.referral(found["fractions"], found["series"], form) for form in forms]
        found["legend"] = [(style, name) for name, style, _ in found["series"]]
    return {"referral": found}


SECTION = Section(
    "referral", "If doubtful images went to a person", "Referral", Path(__file__).with_suffix(".html.j2"), build
)
