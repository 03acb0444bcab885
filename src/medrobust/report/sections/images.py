"""The images: where they come from, how they were split, how many of each class, what was left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..facts import facts
from ..measured import Json, mapping
from ..words import Budget, counted, percent, plain
from .section import Section, Seen

OWN_KEYS = ("name", "num_images", "num_groups", "classes", "broken", "split", "source", "positive_class")
PARTITION = ("data-groups-known", "data-group-leakage", "trained-on", "data-near-duplicates", "data-exact-duplicates")


def prevalence(audit: Json) -> str:
    """How many images of each class, with its share; nothing where the audit does not say."""
    rows = [row for row in audit.get("groups") or () if row.get("column") == "class"]
    total = sum(int(row["num_images"]) for row in rows)
    return ", ".join(f"{plain(r['value'])} {r['num_images']:,} ({percent(r['num_images'] / total)})" for r in rows)


def _partition(audit: Json) -> list[tuple[str, str]]:
    """What the checks say of the level of the split: of patients or of images, and of what is on both sides."""
    found = {str(row.get("id")): row for row in audit.get("findings") or ()}
    rows = [found[name] for name in PARTITION if name in found]
    return [
        (str(row.get("title") or row["id"]), f"{row['severity'].replace('_', ' ')}: {row['evidence']}") for row in rows
    ]


def sample_size(audit: Json) -> str:
    """How many images an interval of the wanted width needs, in words: clean, and at the budget that takes most."""
    found = mapping(audit.get("sample_size"))
    rows = [row for row in found.get("rows") or () if row.get("num_images")]
    clean = next((row for row in rows if not row.get("epsilon")), None)
    attacked = max((row for row in rows if row.get("epsilon")), key=lambda row: int(row["num_images"]), default=None)
    if clean is None:
        return ""
    points = f"{100 * float(found['half_width']):.0f} points"
    said = f"To know a share to {points} either way takes {_needed(clean)} for the accuracy"
    if attacked is None:
        return f"{said}."
    at = Budget(str(attacked["norm"]), float(attacked["epsilon"])).short
    return f"{said}, and {_needed(attacked)} for the robust accuracy where it takes most, at {at}."


def _needed(row: Json) -> str:
    there = ", which are there" if row.get("enough") else ""
    return f"{counted(int(row['num_images']), 'image')} of {counted(int(row['num_groups']), 'group')}{there}"


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    data = mapping(seen.audit["data"])
    groups = int(data.get("num_groups") or 0)
    rows = [("images", f"{seen.num_images:,}" if seen.num_images else "")]
    rows += [("groups (such as patients)", f"{groups:,}")] if groups else []
    rows += [("prevalence", prevalence(seen.audit)), ("positive class", plain(data.get("positive_class") or ""))]
    rows += [("split", plain(data["split"]) if data.get("split") else "")]
    rows += facts(data, OWN_KEYS) + facts({"unit": mapping(data.get("source")).get("words")})
    told = sample_size(seen.audit)
    return {
        "rows": [(name, value) for name, value in rows if value and value != "none"],
        "partition": _partition(seen.audit),
        "sample_size": told,
        "broken": [(str(path), str(reason)) for path, reason in data.get("broken") or ()],
        "counted": counted,
    }


SECTION = Section("data", "The images", "Images", Path(__file__).with_suffix(".html.j2"), build)
