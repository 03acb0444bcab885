"""The images that the smallest changes mislead."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..measured import Json, attack_name, class_name, mapping, norms
from ..words import Budget, counted
from . import smallest
from .section import Section, Seen


def fragile(audit: Json, anchors: Mapping[str, str]) -> list[dict[str, Any]] | None:
    """The images misled by the smallest changes, in the order of the audit, with a link where the gallery has them.

    The size is that of the change itself where the audit has it, else the smallest budget of the grid that held it.
    """
    norm = next(iter(norms(audit)), "linf")
    rows = []
    for row in audit.get("fragile") or ():
        size = row["epsilon_wrong"]
        budget = None if size is None else Budget(row.get("norm", norm), float(size))
        change = row.get("change_wrong")
        exact = smallest.size(budget.norm, float(change)) if change and budget else ""
        group = str(row.get("group_id") or "")
        rows.append(
            {
                "image": str(row["image_id"]),
                "anchor": anchors.get(str(row["image_id"])),
                "group": "" if group == str(row["image_id"]) else group,
                "truth": class_name(audit, row["label"]),
                "size": "never misled" if budget is None else "wrong untouched" if size == 0 else exact or budget.short,
                "read_as": class_name(audit, row["read_as"]) if row.get("read_as") is not None else "",
                "attack": attack_name(audit, str(row.get("attack") or "")),
            }
        )
    return rows or None


def sensitivity(audit: Json) -> list[str]:
    """What the sensitivity to each norm says, in sentences.

    The change that misleads half of the images that are right, and the most fragile 5 % of them; and how many images no
    change misled.
    """
    raw = audit.get("sensitivity") or ()
    sentences = []
    rows = [raw] if isinstance(raw, Mapping) else raw
    rows = [row for row in rows if not row.get("ecdf")]  # the distribution says it before, without the grid
    for row in rows:
        norm, wrong = str(row["norm"]), mapping(row.get("epsilon_wrong"))
        half, fragile_part = wrong.get("median"), mapping(wrong.get("quantiles")).get("0.05")
        said = f"Half of the images that it gets right are misread within {Budget(norm, half).words}" if half else ""
        if fragile_part:
            first = Budget(norm, fragile_part).words
            who = "the most fragile 5%" if said else "Of the images that it gets right, the most fragile 5% are misread"
            said += f"{', ' if said else ''}{who} within {first}"
        among = f" ({norm})" if len(rows) > 1 else ""
        never = f"{counted(int(row['num_never']), 'image')} resisted every change tried" if row.get("num_never") else ""
        never += among if never else ""
        sentences += [f"{part}." for part in (said, never) if part]
    return sentences


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    return {"fragile": fragile(seen.audit, seen.anchors), "sensitivity": sensitivity(seen.audit)}


SECTION = Section(
    "fragile", "The images misled most easily", "Most fragile images", Path(__file__).with_suffix(".html.j2"), build
)
