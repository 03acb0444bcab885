"""A finding: what a check saw, how bad it is, what to do. The one home of severities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .errors import UserError

Severity = Literal["pass", "warn", "fail", "not_run"]
SEVERITIES: tuple[Severity, ...] = ("fail", "warn", "not_run", "pass")  # the worst first
FAIL_ON: dict[str, tuple[Severity, ...]] = {"warn": ("fail", "warn"), "fail": ("fail",)}


@dataclass(frozen=True)
class Finding:
    """One row of a list of checks.

    Args:
        id: stable short name, kebab-case; those of a data set start with "data-".
        severity: pass, warn, fail, not_run.
        title: what was asked, one sentence.
        evidence: what was seen, with numbers.
        advice: what to do; empty when passed.
        numbers: the evidence as JSON.
        why: it matters, in plain words, one sentence.
        reference: where that is written.

    Errors: ValueError for another severity.

    Example:
        >>> Finding("reach", "pass", "Can every attack reach its budget?", "all do").severity
        'pass'
    """

    id: str
    severity: Severity
    title: str
    evidence: str
    advice: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    reference: str = ""

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity {self.severity!r} of {self.id!r} is none of {', '.join(SEVERITIES)}")


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Sorted by severity, otherwise in their order."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def verdict(findings: Iterable[Finding]) -> Severity:
    """The worst of the severities fail and warn that occurs, else pass."""
    found = {finding.severity for finding in findings}
    return "fail" if "fail" in found else "warn" if "warn" in found else "pass"


def fatal(fail_on: str | None) -> tuple[Severity, ...]:
    """The severities that end a command with exit code 1. Errors: UserError for a word that is no severity.

    Example:
        >>> fatal("warn"), fatal(None)
        (('fail', 'warn'), ())
    """
    if fail_on is None:
        return ()
    if fail_on not in FAIL_ON:
        raise UserError("--fail-on", f"{fail_on!r} is not a severity", f"valid: {', '.join(FAIL_ON)}")
    return FAIL_ON[fail_on]
