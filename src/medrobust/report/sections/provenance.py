"""Versions, hashes, command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..facts import facts
from .section import Section, Seen

OF_RUN = ("command", "commit", "versions", "hardware", "started", "finished")


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    made = {key: seen.run[key] for key in OF_RUN if key in seen.run}
    return {"provenance": facts(seen.audit.get("provenance") or made)}


SECTION = Section("provenance", "Provenance", "Provenance", Path(__file__).with_suffix(".html.j2"), build)
