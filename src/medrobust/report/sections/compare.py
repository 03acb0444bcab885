"""This run beside another one, and against limits set beforehand: what compare.json says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...files import read_json
from ..facts import facts
from ..words import plain
from .section import Section, Seen


def tables(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every list of mappings in compare.json as a table: its columns are the keys of its rows."""
    found = []
    for name, value in content.items():
        rows = [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []
        if rows:
            columns = list(dict.fromkeys(key for row in rows for key in row))
            cells = [[plain(row[key]) if key in row else "" for key in columns] for row in rows]
            names = [column.replace("_", " ") for column in columns]
            found.append({"name": name.replace("_", " "), "columns": names, "rows": cells})
    return found


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    path = seen.folder / "compare.json"
    content = read_json(path) if path.is_file() else {}
    content = content if isinstance(content, Mapping) else {}
    listed = {name: value for name, value in content.items() if not isinstance(value, (list, Mapping))}
    return {"facts": facts(listed, ("schema",)), "tables": tables(content)}


SECTION = Section("compare", "Compared with", "Compared with", Path(__file__).with_suffix(".html.j2"), build)
