"""Accuracy on the rest when doubtful images go to a person."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import figures
from ..measured import Estimate, Json, estimate, mapping
from ..words import counted, percent
from .section import Section, Seen


def referral(audit: Json) -> dict[str, Any] | None:
    """Accuracy on the images kept, by three ways to choose those sent to a person."""
    raw = audit.get("referral") or ()
    rows = sorted(mapping(raw).get("rows") or () if isinstance(raw, Mapping) else raw, key=lambda row: row["fraction"])
    ways = (
        ("accuracy", "Easiest to mislead", "worst"),
        ("baseline_confidence", "Least confident", "attack a0"),
        ("random", "At random", "attack a5"),
    )
    series, keys = [], []
    for key, name, style in ways:
        found = [estimate(row.get(key)) for row in rows]
        values = [None if e is None else e.value for e in found]
        if any(v is not None for v in values):
            series.append((name, style, values))
            keys.append(key)
    if len(rows) < 2 or not series:
        return None
    fractions = [float(row["fraction"]) for row in rows]
    at = min(range(len(rows)), key=lambda i: abs(fractions[i] - 0.2))
    told = [
        f"{name.lower()} {percent(v)}{_range(rows[at], key)}"
        for (name, _, values), key in zip(series, keys, strict=True)
        if (v := values[at]) is not None
    ]
    return {"fractions": fractions, "series": series, "at": _sent(rows[at]), "told": told}


WAYS = {
    "smallest_change": "Easiest to mislead",
    "confidence": "Least confident",
    "entropy": "Least decided (entropy)",
    "random": "At random",
}


def areas(audit: Json) -> list[dict[str, str]]:
    """Rows of the table of areas: how each way to choose does over all shares at once."""
    found = []
    for row in audit.get("referral_area") or ():
        parts = {key: estimate(row.get(key)) for key in ("area", "gain_over_confidence", "gain_over_random")}
        said = {key: _number(e) for key, e in parts.items()}
        found.append({"by": WAYS.get(row["by"], row["by"]), **said})
    return found


def _number(found: Estimate | None) -> str:
    if found is None or found.value is None:
        return ""
    ends = "" if found.low is None or found.high is None else f" ({found.low:.3f} to {found.high:.3f})"
    return f"{found.value:.3f}{ends}"


def _sent(row: Json) -> str:
    """The share sent to a person, and how many images that is where the audit says it."""
    share, sent = percent(float(row["fraction"]), 0), row.get("num_referred")
    return share if sent is None else f"{share} ({sent} of {counted(sent + int(row['num_kept']), 'image')})"


def _range(row: Json, key: str) -> str:
    found = estimate(mapping(row.get("intervals")).get(key))
    return f" ({found.range})" if found and found.range else ""


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    found = referral(seen.audit)
    if found:
        forms = (figures.LOW_WIDE, figures.LOW_NARROW)
        found["figures"] = [figures.referral(found["fractions"], found["series"], form) for form in forms]
        found["legend"] = [(style, name) for name, style, _ in found["series"]]
    return {"referral": found, "areas": areas(seen.audit)}


SECTION = Section(
    "referral", "If doubtful images went to a person", "Referral", Path(__file__).with_suffix(".html.j2"), build
)
