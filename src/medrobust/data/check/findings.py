"""What the check of a set says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["pass", "warn", "fail", "not_run"]
SEVERITIES: tuple[Severity, ...] = ("fail", "warn", "not_run", "pass")
SCHEMA = "medrobust.data-check/1"


@dataclass(frozen=True)
class DataFinding:
    """One row of the check.

    Args:
        id: stable short name, kebab-case, starting with "data-".
        severity: pass, warn, fail, not_run.
        title: what was asked.
        evidence: what was seen, one sentence with numbers.
        advice: what to do; empty when passed.
        numbers: the same as JSON, with the image ids.
    """

    id: str
    severity: Severity
    title: str
    evidence: str
    advice: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)


def verdict(findings: Sequence[DataFinding]) -> Severity:
    """fail or warn if one finding is, else pass."""
    found = {finding.severity for finding in findings}
    return "fail" if "fail" in found else "warn" if "warn" in found else "pass"


def as_json(findings: Sequence[DataFinding], data: Mapping[str, Any]) -> dict[str, Any]:
    """The report of a check: schema, data, verdict, findings."""
    rows = [asdict(finding) for finding in findings]
    return {"schema": SCHEMA, "data": dict(data), "verdict": verdict(findings), "findings": rows}


def as_text(findings: Sequence[DataFinding]) -> str:
    """The findings as lines that a person reads, the worst first."""
    lines = []
    for finding in sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)):
        lines.append(f"{finding.severity.replace('_', ' '):8} {finding.title}: {finding.evidence}")
        if finding.advice:
            lines.append(f"{'':8}   -> {finding.advice}")
    return "\n".join(lines)
