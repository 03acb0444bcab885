"""A finding: what a check saw, how bad it is, what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from ..data import ImageSet
from ..evaluation.measure import Plan
from ..evaluation.records import Records
from ..models.classifier import Classifier
from ..progress import Report

Severity = Literal["pass", "warn", "fail", "not_run"]


@dataclass(frozen=True)
class Finding:
    """One row of the report's list of checks.

    Args:
        id: stable short name, kebab-case.
        severity: pass, warn, fail, not_run.
        title: what was asked, one sentence.
        evidence: numbers that were seen.
        advice: what to do; empty when passed.
    """

    id: str
    severity: Severity
    title: str
    evidence: str
    advice: str = ""


@dataclass(frozen=True)
class Context:
    """What a check may look at besides the records."""

    model: Classifier
    images: ImageSet
    plan: Plan
    attacks: dict[str, dict[str, Any]] = field(default_factory=dict)
    report: Report | None = None


Check = Callable[[Records, Context], Finding | list[Finding]]
SEVERITIES: tuple[Severity, ...] = ("fail", "warn", "not_run", "pass")


def run_checks(checks: list[Check], records: Records, context: Context) -> list[Finding]:
    """The findings of all checks, the worst first."""
    results = [check(records, context) for check in checks]
    found = [one for result in results for one in (result if isinstance(result, list) else [result])]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
