"""Budgets and attacks: how it was measured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..facts import facts
from ..measured import Json, attack_name, class_names, lines, mapping, name_of, norms
from ..words import number, plain
from .section import Section, Seen


def _readable(parts: Any) -> str:
    """The parts of an attack in one line: Program(step Steepest(...), num_steps 20, ...)."""
    if isinstance(parts, dict):
        inner = ", ".join(f"{name} {_readable(value)}" for name, value in parts.items() if name != "kind")
        return f"{parts.get('kind', '')}({inner})"
    if isinstance(parts, (list, tuple)):
        return f"[{', '.join(map(_readable, parts))}]"
    # Audits of other tools may hold the text of an object, with the addresses of functions.
    return re.sub(r"<(?:bound method|function) (\S+)[^<>]*>", r"\1", "none" if parts is None else str(parts))


def protocol(audit: Json) -> list[tuple[str, str]]:
    """Budgets, threat, protocol and precision as rows of a table of facts."""
    rows = []
    for norm in norms(audit):
        sizes = sorted({p.budget.epsilon: p.budget for line in lines(audit, norm) for p in line.points}.items())
        rows.append((f"budgets, {norm}", ", ".join(budget.fraction for _, budget in sizes)))
    rows += [(f"threat, {name}", value) for name, value in facts(audit.get("threat"), ("budgets",))]
    how = audit.get("protocol")
    how = {"name": how} if isinstance(how, str) else mapping(how)
    rows += [("protocol" if name == "name" else name, value) for name, value in facts(how, ("attacks",))]
    copy = mapping(mapping(audit.get("cost")).get("search")).get("copy")
    if isinstance(copy, str):
        own = copy.startswith("float32, unchanged")
        what = copy.replace("float32, unchanged", "the network itself") if own else f"a copy of the network, {copy}"
        rows.append(("searched with", what if own else f"{what}; the network itself judges"))
    return rows


def attacks(audit: Json) -> list[dict[str, Any]]:
    """Every attack with its parameters, goal and parts from protocol.attacks; the names on the curve without them."""
    described = mapping(mapping(audit.get("protocol")).get("attacks"))
    names = dict.fromkeys(row["attack"] for row in audit.get("curve") or () if row["attack"] != "clean")
    rows = []
    for name in described or names:
        raw = mapping(described.get(name))
        given = [f"{key} {plain(value)}" for key, value in mapping(raw.get("parameters")).items()]
        goal = f"goal {plain(raw['goal'])}" if raw.get("goal") else ""
        is_a = f"{raw['kind']}, needs {raw['needs']}" if raw.get("kind") and raw.get("needs") else ""
        only = f"run in {', '.join(raw['norms'])} only" if raw.get("norms") else ""
        said = ", ".join(text for text in (*given, goal, is_a, only) if text)
        rows.append(
            {
                "name": attack_name(audit, str(name)),
                "said": said,
                "parts": _readable(raw["parts"]) if raw.get("parts") else "",
            }
        )
    return rows


def cost(audit: Json) -> list[str]:
    """What the attacks cost, in words."""
    raw = audit.get("cost") or {}
    words = []
    for key in ("forwards", "backwards"):
        if isinstance(raw.get(key), (int, float)):
            words.append(f"{raw[key]:,.0f} {key[:-1]} passes")
    for key, value in raw.items():
        if "seconds" in key and isinstance(value, (int, float)):
            what = key.replace("seconds", "").replace("_", " ").strip() or "attacks"
            words.append(f"{number(value, 3)} seconds ({what})")
    return words


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    audit = seen.audit
    model = mapping(audit["model"])
    return {
        "model": name_of(audit["model"]),
        "model_facts": facts(model, ("name", "classes", "said")),
        "data_name": seen.data_name,
        "num_images": seen.num_images,
        "classes": class_names(audit),
        "attacks": attacks(audit),
        "protocol": protocol(audit),
        "as_published": name_of(audit.get("protocol", "")) == "paper",
        "recipe": seen.recipe,
    }


SECTION = Section("protocol", "How it was measured", "Protocol", Path(__file__).with_suffix(".html.j2"), build)
