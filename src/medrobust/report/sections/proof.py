"""Proof that the attacks work on this classifier: what they find of answers that were planted, before any result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..measured import Json, attack_name, mapping
from ..words import Budget, counted, plain
from .section import Section, Seen


def _size(row: Json) -> str:
    epsilon = row.get("epsilon")
    return Budget(str(row.get("norm") or "linf"), float(epsilon)).short if epsilon else ""


def planted(audit: Json) -> list[dict[str, Any]]:
    """The rows of the active test: per attack and budget, how many planted answers there were and were found."""
    rows = []
    for row in mapping(audit.get("active_test")).get("rows") or ():
        known = {key: row.get(key) for key in ("planted", "won_by_random", "found", "not_applicable")}
        fair = None if known["planted"] is None else int(known["planted"]) - int(known["won_by_random"] or 0)
        rows.append(
            {
                "attack": attack_name(audit, str(row.get("attack") or "")),
                "budget": Budget(str(row.get("norm") or "linf"), float(row["epsilon"])).short
                if row.get("epsilon")
                else "",
                **{key: "n/a" if value is None else f"{int(value):,}" for key, value in known.items()},
                "share": f"{int(known['found'] or 0)} of {fair}" if fair else "nothing to find",
                "all": bool(fair) and int(known["found"] or 0) >= (fair or 0),
                "reason": str(row.get("reason") or ""),
            }
        )
    return rows


def checks_in_short(audit: Json) -> str:
    """How the checks of attacks and measurement ended, in a sentence; those of the data are counted with the data."""
    rows = [row for row in audit.get("findings") or () if not str(row.get("id")).startswith("data-")]
    by = {kind: [row for row in rows if row.get("severity") == kind] for kind in ("pass", "warn", "fail", "not_run")}
    if not rows:
        return ""
    said = [f"{len(by['pass'])} passed"]
    for kind, one, more in (("warn", "gives a warning", "give a warning"), ("fail", "failed", "failed")):
        said += [f"{len(by[kind])} {one if len(by[kind]) == 1 else more}"] if by[kind] else []
    said += [f"{len(by['not_run'])} could not run"] if by["not_run"] else []
    return f"Of {counted(len(rows), 'check')} of the attacks and of what the classifier was shown, {', '.join(said)}."


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    test = seen.audit.get("active_test")
    verdict = mapping(test).get("verdict")
    said = mapping(verdict).get("evidence") or mapping(verdict).get("words") or verdict
    return {
        "rows": planted(seen.audit),
        "verdict": "" if said is None else plain(said),
        "reason": str(mapping(test).get("reason") or ""),
        "checks": checks_in_short(seen.audit),
    }


SECTION = Section(
    "proof",
    "Do the attacks work on this classifier?",
    "Do attacks work?",
    Path(__file__).with_suffix(".html.j2"),
    build,
)
