"""What a check is, and what it may look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..data.images.image_set import ImageSet
from ..findings import Finding, worst_first
from ..measuring.plan import Plan
from ..models.classifier import Classifier
from ..progress import Report
from ..records.records import Records


@dataclass(frozen=True)
class Context:
    """What a check may look at besides the records.

    Args:
        model: the classifier.
        images: those that were attacked.
        plan: what was measured.
        attacks: title -> parameters, as the recipe gives them.
        report: called with (what, done, of).
    """

    model: Classifier
    images: ImageSet
    plan: Plan
    attacks: dict[str, dict[str, Any]] = field(default_factory=dict)
    report: Report | None = None


Check = Callable[[Records, Context], Finding | list[Finding]]


def run_checks(checks: Sequence[Check], records: Records, context: Context) -> list[Finding]:
    """The findings of all checks, the worst first."""
    results = [check(records, context) for check in checks]
    found = [one for result in results for one in (result if isinstance(result, list) else [result])]
    return worst_first(found)
