"""A finished audit, to be looked at from Python."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import read_json
from ..findings import Finding, verdict
from ..numbers import epsilon_text
from ..records.records import Records
from ..runs import AUDIT_SCHEMA


@dataclass(frozen=True)
class AuditRun:
    """The directory of an audit, and what is in it.

    Args:
        folder: with audit.json, records.parquet, report.html, run.json and images/.

    Errors: UserError when a file is missing, or is of another version, at the first look at it.
    """

    folder: Path

    @cached_property
    def content(self) -> dict[str, Any]:
        """What audit.json holds."""
        found = read_json(self.folder / "audit.json")
        if not isinstance(found, dict) or found.get("schema") != AUDIT_SCHEMA:
            raise UserError(str(self.folder / "audit.json"), f"is not {AUDIT_SCHEMA!r}", "measure again")
        return found

    @cached_property
    def records(self) -> Records:
        """The rows of records.parquet."""
        return Records.read(self.folder / "records.parquet")

    @property
    def report(self) -> Path:
        """The path of report.html."""
        return self.folder / "report.html"

    @property
    def clean(self) -> dict[str, Any]:
        """Metrics of the unchanged images, each {value, low, high}."""
        return dict(self.content["clean"])

    @property
    def worst_case(self) -> list[dict[str, Any]]:
        """One row per norm and budget: {norm, epsilon, robust_accuracy: {value, low, high}}."""
        return list(self.content["worst_case"])

    @property
    def quotable(self) -> tuple[str, list[str]]:
        """yes or no, and the reasons: see docs/explanation/quotable.md."""
        said = self.content["quotable"]
        return str(said["value"]), list(said["why"])

    @property
    def findings(self) -> list[Finding]:
        """What the checks say, the worst first."""
        return [Finding(**row) for row in self.content["findings"]]

    def __repr__(self) -> str:
        said, count = verdict(self.findings), self.content["data"]["num_images"]
        return f"AuditRun({str(self.folder)!r}, {count} images, checks: {said}, quotable: {self.quotable[0]})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{row['norm']} {epsilon_text(row['epsilon'], row['norm'])}</td>"
            f"<td>{row['robust_accuracy']['value']:.3f}</td></tr>"
            for row in self.worst_case
        )
        bad = [finding for finding in self.findings if finding.severity in ("fail", "warn")]
        said = "".join(f"<li><b>{f.severity}</b> {escape(f.title)} {escape(f.evidence)}</li>" for f in bad)
        table = f"<table><tr><th>worst case</th><th>robust accuracy</th></tr>{rows}</table>"
        return f"{self.records._repr_html_()}{table}<ul>{said}</ul>"
