"""What the run cannot speak of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .section import Section, Seen


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    return {"not_tested": [str(sentence) for sentence in seen.audit.get("not_tested") or ()]}


SECTION = Section("not-tested", "What was not tested", "Not tested", Path(__file__).with_suffix(".html.j2"), build)
