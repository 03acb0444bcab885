"""To repeat the run: command, versions, hashes, seeds, hardware, cost, files; lines for those who sign."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..facts import facts
from .protocol import cost
from .section import Section, Seen

OF_RUN = ("command", "commit", "versions", "hardware", "started", "finished")
FILES = (
    ("audit.json", "every number of this page"),
    ("records.parquet", "one row per image, attack and budget"),
    ("run.json", "versions, hashes, seed, hardware, cost"),
    ("recipe.yaml", "every key of this audit, with its value"),
    ("curve.csv", "accuracy at each budget, for a spreadsheet"),
    ("findings.sarif", "the checks, for programs that show findings (SARIF 2.1.0)"),
    ("claim.md", "the rows of CLAIM that an audit can fill"),
    ("card.chai.xml", "the parts of a CHAI Applied Model Card that an audit can fill"),
)


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    spent = cost(seen.audit)
    made = {key: seen.run[key] for key in OF_RUN if key in seen.run}
    return {
        "made": bool(seen.audit.get("provenance") or made),
        "provenance": facts(seen.audit.get("provenance") or made) + ([("cost", ", ".join(spent))] if spent else []),
        "files": FILES,
        "signatures": ("Run by", "Reviewed by", "Date"),
    }


SECTION = Section("repeat", "To repeat it", "To repeat it", Path(__file__).with_suffix(".html.j2"), build)
