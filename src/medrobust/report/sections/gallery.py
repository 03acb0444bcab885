"""Images before and after, with the change made visible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .section import Section, Seen


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    return {"pictures": seen.pictures}


SECTION = Section(
    "gallery", "What the changes look like", "What it looks like", Path(__file__).with_suffix(".html.j2"), build
)
