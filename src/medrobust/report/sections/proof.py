"""Proof that the attacks work on this classifier: what they find of answers that were planted, before any result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...quotable import SHOWN
from ..measured import Json, attack_name, mapping
from ..words import Budget, counted, listed, plain
from .section import Section, Seen


def _size(row: Json) -> str:
    epsilon = row.get("epsilon")
    return Budget(str(row.get("norm") or "linf"), float(epsilon)).short if epsilon else ""


def planted(audit: Json) -> list[dict[str, Any]]:
    """The rows of the active test: per attack and budget, how many planted answers there were and were found."""
    rows = []
    for row in mapping(audit.get("active_test")).get("rows") or ():
        known = {key: row.get(key) for key in ("planted", "won_by_random", "found")}
        fair = None if known["planted"] is None else int(known["planted"]) - int(known["won_by_random"] or 0)
        rows.append(
            {
                "attack": attack_name(audit, str(row.get("attack") or "")),
                "budget": _size(row),
                **{key: "n/a" if value is None else f"{int(value):,}" for key, value in known.items()},
                "share": f"{int(known['found'] or 0)} of {fair}" if fair else "nothing to find",
                "all": bool(fair) and int(known["found"] or 0) >= (fair or 0),
            }
        )
    return rows


def together(audit: Json) -> str:
    """What all attacks together found, in words."""
    rows = mapping(audit.get("active_test")).get("together") or ()
    found = [f"{row['found']} of {row['counted']} at {_size(row)}" for row in rows]
    return f"All attacks together found {listed(found)}." if found else ""


def others(audit: Json) -> list[dict[str, str]]:
    """The other checks that prove or refute the attacks: what was asked and seen."""
    rows = {str(row.get("id")): row for row in audit.get("findings") or ()}
    return [
        {
            "severity": str(rows[name]["severity"]),
            "title": str(rows[name].get("title") or name),
            "evidence": plain(rows[name]["evidence"]) if rows[name].get("evidence") else "",
        }
        for name in SHOWN[1:]
        if name in rows
    ]


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
    return {
        "rows": planted(seen.audit),
        "together": together(seen.audit),
        "others": others(seen.audit),
        "reason": str(mapping(seen.audit.get("active_test")).get("reason") or ""),
        "checks": checks_in_short(seen.audit),
    }


SECTION = Section(
    "proof",
    "Do the attacks work on this classifier?",
    "Do attacks work?",
    Path(__file__).with_suffix(".html.j2"),
    build,
)
