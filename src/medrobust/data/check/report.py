"""What the check of a set says, as JSON and as lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ...findings import Finding, verdict, worst_first

SCHEMA = "medrobust.data-check/1"


def as_json(findings: Sequence[Finding], data: Mapping[str, Any]) -> dict[str, Any]:
    """The report of a check: schema, data, verdict, findings."""
    rows = [asdict(finding) for finding in findings]
    return {"schema": SCHEMA, "data": dict(data), "verdict": verdict(findings), "findings": rows}


def as_text(findings: Sequence[Finding]) -> str:
    """The findings as lines that a person reads, the worst first."""
    lines = []
    for finding in worst_first(findings):
        lines.append(f"{finding.severity.replace('_', ' '):8} {finding.title}: {finding.evidence}")
        if finding.advice:
            lines.append(f"{'':8}   -> {finding.advice}")
    return "\n".join(lines)
