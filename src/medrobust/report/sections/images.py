"""The images: where they come from, how they were split, how many of each class, what was left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..facts import facts
from ..measured import Json, mapping
from ..words import counted, percent, plain
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


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    data = mapping(seen.audit["data"])
    groups = int(data.get("num_groups") or 0)
    rows = [("images", f"{seen.num_images:,}" if seen.num_images else "")]
    rows += [("groups (such as patients)", f"{groups:,}")] if groups else []
    rows += [("prevalence", prevalence(seen.audit)), ("positive class", plain(data.get("positive_class") or ""))]
    rows += [("split", plain(data["split"]) if data.get("split") else "")]
    rows += facts(data, OWN_KEYS) + facts({"unit": mapping(data.get("source")).get("words")})
    sample = seen.audit.get("sample_size")
    told = str(sample["words"]) if isinstance(sample, dict) and sample.get("words") else ""
    return {
        "rows": [(name, value) for name, value in rows if value and value != "none"],
        "partition": _partition(seen.audit),
        "sample_size": told,
        "sample_facts": [] if told else facts(sample),
        "broken": [(str(path), str(reason)) for path, reason in data.get("broken") or ()],
        "counted": counted,
    }


SECTION = Section("data", "The images", "Images", Path(__file__).with_suffix(".html.j2"), build)
