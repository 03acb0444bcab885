"""Checks of the set that the images come from: those of `medrobust data check`, on the images of the audit."""

from __future__ import annotations

from ...data.check.part import check_part
from ...findings import Finding
from ...records.records import Records
from ..context import Context


def data_findings(records: Records, context: Context) -> list[Finding]:
    """Duplicates, contradicting labels, groups on both sides, shortcuts, identifiers; see check_part.

    The image ids in their numbers stay in `medrobust data check`.
    """
    report = context.report
    found = check_part(
        context.images,
        seed=context.plan.seed,
        progress=(lambda done, of: report("checking images", done, of)) if report else None,
    )
    return [Finding(one.id, one.severity, one.title, one.evidence, one.advice) for one in found]
