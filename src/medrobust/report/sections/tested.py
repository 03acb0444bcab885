"""What was tested, by whom it could be done, and what was left out: the threat table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..measured import Json, attack_name, lines, mapping, norms
from ..words import counted, listed
from .section import Section, Seen

# What an attack needs of the model -> what its user knows, and who that could be.
KNOWS = {
    "gradients": ("the network from inside", "whoever holds the model file and can change pixels before they are read"),
    "scores": ("its probabilities", "whoever may send images and sees the probabilities"),
    "labels": ("its answers", "whoever may send images and sees the answers"),
}
# Where pixels may change -> what follows "any pixel".
PLACES = {"lesion": " inside the mask of its image", "background": " outside the mask of its image"}
# Threats that an audit of changed images cannot speak of: name, how far it is covered, section that covers a part.
OTHERS = (
    ("Poisoning: training data or labels changed on purpose", "out of scope", ""),
    ("Model stealing and inversion: the model or its training images told from its answers", "out of scope", ""),
    ("Leakage of patient data", "partly: identifiers in DICOM headers", "checks"),
    ("Overfitting, and test images known from training", "partly: trained-on images, patients on both sides", "checks"),
    ("Bias, and its manipulation", "partly: differences between groups", "groups"),
    ("Drift: other scanners, sites, years", "out of scope", ""),
    ("Everyday faults: noise, contrast, motion, cropping", "out of scope", ""),
)
# Sentences of audit.json that rows of the table, or the last sentence below it, say already.
IN_THE_TABLE = (
    "Changes of geometry, contrast, noise, scanner or site; only",
    "Attackers who poison",
    "Certified robustness",
)


def evasion(audit: Json) -> list[dict[str, Any]]:
    """One row per norm: how large the changes may be, and which attacks looked for them with what knowledge."""
    described = mapping(mapping(audit.get("protocol")).get("attacks"))
    rows = []
    where = mapping(mapping(audit.get("threat")).get("mask")).get("where")
    place = PLACES.get(str(where), "")
    for norm in norms(audit):
        budgets = sorted({p.budget for line in lines(audit, norm) for p in line.points}, key=lambda b: b.epsilon)
        needs: dict[str, list[str]] = {}
        for title, raw in described.items():
            if norm in (mapping(raw).get("norms") or (norm,)):
                needs.setdefault(str(mapping(raw).get("needs") or "unknown"), []).append(attack_name(audit, str(title)))
        several = f"{counted(len(budgets), 'size')} from {budgets[0].short} to {budgets[-1].short}"
        how = ("any pixel" if norm == "linf" else "all pixels together") + place
        what = f"Evasion: {how} by at most {budgets[-1].short}"
        if budgets[-1].is_severity:
            what = f"The worst everyday fault: {budgets[-1].words} at most"
        rows.append(
            {
                "what": what,
                "sizes": several if len(budgets) > 1 else "1 size",
                "by": [
                    {
                        "knows": KNOWS.get(need, ("not recorded", ""))[0],
                        "who": KNOWS.get(need, ("", ""))[1],
                        "attacks": listed(names),
                    }
                    for need, names in needs.items()
                ],
            }
        )
    return rows


def _everyday(audit: Json) -> tuple[str, str, str]:
    """The row on everyday faults: which were tested, where some were."""
    names = mapping(audit.get("corruptions")).get("names") or ()
    if not names:
        return OTHERS[-1]
    words = listed([str(name).replace("_", " ") for name in names])
    return OTHERS[-1][0], f"tested, 5 severities each: {words}", "everyday"


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    audit = seen.audit
    listed_there = audit.get("not_tested") or ()
    said = [str(sentence) for sentence in listed_there if not str(sentence).startswith(IN_THE_TABLE)]
    use = audit["model"].get("intended_use") if isinstance(audit["model"], Mapping) else None
    return {
        "rows": evasion(audit),
        "others": [*OTHERS[:-1], _everyday(audit)],
        "not_tested": said,
        "silent": not listed_there,
        "intended_use": str(use or ""),
    }


SECTION = Section(
    "tested", "What was tested, and who could do it", "What was tested", Path(__file__).with_suffix(".html.j2"), build
)
