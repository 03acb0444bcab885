"""Everyday faults: accuracy per corruption and severity, beside the attack that is as visible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..measured import Json, estimate, mapping, worst_line
from ..words import Budget, number
from .section import Section, Seen


def _attacked(audit: Json, epsilon: float) -> dict[str, Any] | None:
    """The worst case of the attacks at the largest linf budget that is no more visible, by PSNR, than a corruption."""
    line = worst_line(audit, "linf")
    within = [point for point in (line.points if line else ()) if point.budget.epsilon <= epsilon * (1 + 1e-9)]
    return {"budget": within[-1].budget, "accuracy": within[-1].accuracy} if within else None


def faults(audit: Json) -> list[dict[str, Any]]:
    """One entry per corruption and severity, in the order of the audit."""
    rows = []
    for row in mapping(audit.get("corruptions")).get("rows") or ():
        epsilon = float(row.get("equal_epsilon") or 0.0)
        rows.append(
            {
                "name": str(row["corruption"]).replace("_", " "),
                "severity": number(row["severity"], 2),
                "size": f"{number(row['parameter'], 3)} {row['unit']}",
                "accuracy": estimate(row["accuracy"]),
                "psnr": number(row.get("psnr"), 3),
                "ssim": number(row.get("ssim"), 3),
                "equal": Budget("linf", epsilon).short if epsilon else "none",
                "attacked": _attacked(audit, epsilon),
            }
        )
    return rows


def families(audit: Json) -> dict[str, list[Any]]:
    """Family -> accuracy in its worst case at each severity."""
    found: dict[str, list[Any]] = {}
    for row in mapping(audit.get("corruptions")).get("worst") or ():
        found.setdefault(str(row["family"]), []).append(estimate(row["accuracy"]))
    return found


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    said = mapping(seen.audit.get("corruptions"))
    return {
        "faults": faults(seen.audit),
        "families": families(seen.audit),
        "words": str(said.get("words") or ""),
        "untouched": estimate(said.get("clean")),
    }


SECTION = Section("everyday", "Everyday faults", "Everyday faults", Path(__file__).with_suffix(".html.j2"), build)
