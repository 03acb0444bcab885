"""Guidance and standards row by row: what each asks for, and where a run answers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .measured import Json, mapping

AUTHOR, CHECK = "author must supply", "check"


@dataclass(frozen=True)
class Row:
    """One thing asked for.

    Args:
        source: the text, with its clause.
        asks: what it asks for, in our words.
        section: id of the section that answers, "" where none does.
        where: the name of that section.
        paths: keys of audit.json, dotted; the row is filled where all are there.
        state: what a run cannot decide: "author must supply" or "check".
    """

    source: str
    asks: str
    section: str = ""
    where: str = ""
    paths: tuple[str, ...] = ()
    state: str = ""


FDA, AAMI, ACT = "FDA draft guidance, January 2025", "AAMI CR515:2025", "EU AI Act"
ISO, CLAIM, CHAI = "ISO/IEC 24029-2:2023", "CLAIM 2024", "CHAI Applied Model Card 0.2"
ROWS = (
    Row(FDA, "evasion as a threat, tested", "curve", "robustness", ("worst_case", "protocol.attacks")),
    Row(FDA, "poisoning, inversion, stealing", "tested", "threat table", (), AUTHOR),
    Row(FDA, "test data independent of training", "data", "images", ("findings",)),
    Row(FDA, "results by subgroup", "groups", "groups", ("groups",)),
    Row(FDA, "known limitations, labelling", "tested", "not tested", ("not_tested",)),
    Row("FDA, change control plan", "acceptance limits of a modification", "compare", "compared with", (), AUTHOR),
    Row(AAMI, "threats over collecting, design, deployment, use, maintenance", "tested", "threat table", (), CHECK),
    Row(f"{ACT}, 15(3)", "accuracy and its metric, declared", "evidence", "sentence below", ("clean.accuracy",)),
    Row(f"{ACT}, 15(4)", "resilience to errors, faults, inconsistencies", "", "", (), AUTHOR),
    Row(f"{ACT}, 15(5)", "adversarial examples, measured", "curve", "robustness", ("worst_case",)),
    Row(f"{ACT}, 15(5)", "measures to detect and respond", "referral", "referral", ("referral",)),
    Row(f"{ISO}, stability", "the answer stays within a change", "curve", "robustness", ("worst_case",)),
    Row(f"{ISO}, sensitivity", "how much change an answer takes", "smallest", "smallest changes", ("sensitivity",)),
    Row(f"{ISO}, relevance", "which parts of the input decide", "explain", "maps, when asked for", (), CHECK),
    Row(f"{ISO}, verifier", "a bound that holds for every change", "curve", "robustness", ("certified.rows",)),
    Row(f"{CLAIM}, 19 to 21", "sample size, partition and its level", "data", "images", ("data.num_images",)),
    Row(f"{CLAIM}, 29 to 30", "metrics with their uncertainty", "clean", "before any change", ("clean.accuracy",)),
    Row(f"{CLAIM}, 31", "robustness and sensitivity analysis", "curve", "robustness", ("worst_case",)),
    Row(f"{CLAIM}, 37", "failure analysis", "fragile", "most fragile images", ("fragile", "direction")),
    Row(f"{CLAIM}, 38", "limitations", "tested", "not tested", ("not_tested",)),
    Row(f"{CHAI}, SafetyReliability", "goal, results, test data", "curve", "robustness", ("worst_case",)),
    Row(f"{CHAI}, FairnessEquity", "results by group", "groups", "groups", ("groups",)),
    Row(f"{CHAI}, Security", "free text", "curve", "robustness", ("worst_case",)),
    Row(f"{CHAI}, all other elements", "developer, use, population, risk", "", "", (), AUTHOR),
)


def present(audit: Json, path: str) -> bool:
    """Whether a dotted path of audit.json holds something.

    Example:
        >>> present({"clean": {"accuracy": {"value": 0.9}}}, "clean.accuracy"), present({"groups": []}, "groups")
        (True, False)
    """
    found: Any = audit
    for key in path.split("."):
        found = mapping(found).get(key)
    return found not in (None, "", (), [], {})


def status(row: Row, audit: Json) -> str:
    """filled, partly, not measured; or what a run cannot decide."""
    if row.state:
        return row.state
    known = [present(audit, path) for path in row.paths]
    return "filled" if all(known) else "partly" if any(known) else "not measured"
