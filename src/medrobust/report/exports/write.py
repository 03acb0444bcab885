"""The files beside report.html. Adding one is a function of audit.json and a line in EXPORTS."""

from __future__ import annotations

from collections.abc import Callable

from ..measured import Json
from .chai import card
from .claim import claim
from .sarif import sarif
from .table import curve_csv

EXPORTS: dict[str, Callable[[Json], str]] = {
    "findings.sarif": sarif,
    "curve.csv": curve_csv,
    "claim.md": claim,
    "card.chai.xml": card,
}


def exports(audit: Json) -> dict[str, str]:
    """File name -> content."""
    return {name: made(audit) for name, made in EXPORTS.items()}
