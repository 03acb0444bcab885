"""Plain definitions of the words that the report cannot avoid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..measured import attack_name, mapping
from .section import Section, Seen


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    described = mapping(mapping(seen.audit.get("protocol")).get("attacks"))
    said = {attack_name(seen.audit, str(title)): mapping(raw).get("says") for title, raw in described.items()}
    return {"attacks": [(name, words) for name, words in said.items() if words]}


SECTION = Section("words", "Words used here", "Words used", Path(__file__).with_suffix(".html.j2"), build)
