"""May the numbers of an audit be quoted? A rule, not a feeling: see docs/explanation/quotable.md."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from .findings import Finding

# What must have been shown, not only not refuted: a question that could not be asked is no answer.
SHOWN = ("active-test", "closed-form", "unbounded", "convergence", "black-box")
# Warnings that change what the number means, or how far it can be trusted.
DECIDING = (
    *("active-test", "unbounded", "convergence", "black-box", "steps-help", "differences", "gradients", "head"),
    *("saturation", "last-point", "class-order", "normalization", "precision", "enough-images", "trained-on"),
)


@dataclass(frozen=True)
class Quotable:
    """The answer.

    Args:
        value: yes or no.
        why: one sentence for each reason against it; for yes, what it rests on.
    """

    value: Literal["yes", "no"]
    why: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For audit.json."""
        return {"value": self.value, "why": list(self.why)}


def quotable(findings: Iterable[Finding]) -> Quotable:
    """Yes, if no check failed, none of DECIDING warns, and all of SHOWN could be asked.

    Args:
        findings: of all checks of the audit.

    Example:
        >>> passed = [Finding(name, "pass", "?", "fine") for name in SHOWN]
        >>> quotable(passed).value
        'yes'
        >>> quotable([*passed, Finding("reach", "fail", "Can it reach?", "half of it")]).why
        ('Can it reach? half of it',)
        >>> quotable(passed[1:]).why
        ('The check active-test was not made.',)
    """
    rows = list(findings)
    against = [_sentence(row) for row in rows if row.severity == "fail"]
    against += [_sentence(row) for row in rows if row.severity == "warn" and row.id in DECIDING]
    against += [_sentence(row) for row in rows if row.severity == "not_run" and row.id in SHOWN]
    made = {row.id for row in rows}
    against += [f"The check {name} was not made." for name in SHOWN if name not in made]
    if against:
        return Quotable("no", tuple(against))
    evidence = {row.id: row.evidence for row in rows}
    return Quotable("yes", (f"No check failed; the attacks were proven to work: {evidence['active-test']}.",))


def _sentence(row: Finding) -> str:
    return f"{row.title} {row.evidence}".strip()
