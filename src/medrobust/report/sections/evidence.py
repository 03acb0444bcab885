"""Which rows of guidance and standards this run gives evidence for, and where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..evidence import ROWS, status
from ..sentence import for_use
from .section import Section, Seen


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    rows = [{"row": row, "status": status(row, seen.audit), "paths": ", ".join(row.paths)} for row in ROWS]
    return {"rows": rows, "sentence": for_use(seen.audit)}


SECTION = Section(
    "evidence", "Evidence for guidance and standards", "Evidence map", Path(__file__).with_suffix(".html.j2"), build
)
