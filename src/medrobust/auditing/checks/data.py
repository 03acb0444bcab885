"""Checks of the set that the images come from: those of `medrobust data check`, on the images of the audit."""

from __future__ import annotations

from ...data.check import check_part
from ...evaluation.records import Records
from ..findings import Context, Finding


def data_findings(records: Records, context: Context) -> list[Finding]:
    """Duplicates, contradicting labels, groups on both sides, shortcuts, identifiers; see check_part."""
    report = context.report
    found = check_part(
        context.images,
        seed=context.plan.seed,
        progress=(lambda done, of: report("checking images", done, of)) if report else None,
    )
    return [Finding(one.id, one.severity, one.title, one.evidence, one.advice) for one in found]
