"""What the checks found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...findings import SEVERITIES
from ..measured import Json
from ..words import plain
from .section import Section, Seen

TITLES = {"fail": "Failed", "warn": "Warning", "not_run": "Could not run", "pass": "Passed"}


def findings(audit: Json) -> list[dict[str, Any]] | None:
    """Checks by severity, the worst first; evidence of any JSON shape becomes text."""
    rows = audit.get("findings") or ()
    grouped = []
    for key in SEVERITIES:
        found = [
            {
                "id": str(row.get("id", "")),
                "title": str(row.get("title") or row.get("id", "")),
                "evidence": plain(row["evidence"]) if row.get("evidence") not in (None, "", {}, []) else "",
                "advice": plain(row["advice"]) if row.get("advice") else "",
                "why": plain(row["why"]) if row.get("why") else "",
                "reference": plain(row["reference"]) if row.get("reference") else "",
            }
            for row in rows
            if row.get("severity") == key
        ]
        if found:
            grouped.append({"key": key, "title": TITLES[key], "rows": found})
    return grouped or None


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    return {"findings": findings(seen.audit)}


SECTION = Section("checks", "All checks", "Checks", Path(__file__).with_suffix(".html.j2"), build)
