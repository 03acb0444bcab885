"""A mapping as a table of facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .words import plain


def facts(raw: Any, skip: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """A mapping as rows of a table of facts."""
    rows: list[tuple[str, str]] = []
    for key, value in (raw or {}).items() if isinstance(raw, Mapping) else ():
        if key not in skip and value is not None:
            rows.append((str(key).replace("_", " "), plain(value)))
    return rows
