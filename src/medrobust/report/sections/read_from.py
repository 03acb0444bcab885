"""What was read of model and data, and from where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..measured import mapping
from .section import Section, Seen


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    said = mapping(seen.audit["model"]).get("said") or ()
    return {"rows": [{key: str(row.get(key) or "") for key in ("fact", "value", "source", "other")} for row in said]}


SECTION = Section(
    "read-from", "What was read, and from where", "What was read", Path(__file__).with_suffix(".html.j2"), build
)
