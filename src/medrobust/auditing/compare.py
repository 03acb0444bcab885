"""Compare two runs: their rows in, compare.json and compare.md out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import sha256_file, write_atomic, write_json
from ..numbers import epsilon_text
from ..records.compare import as_dicts, compare_rows, judge, verdict
from ..records.intervals import Grouping
from ..records.limits import Limit
from ..records.paired import METHOD
from ..runs import digest, now
from ..version import __version__
from .run import AuditRun

SCHEMA = "medrobust.compare/1"
FROM_AUDIT = {"model_sha256": "model", "data_sha256": "images", "medrobust": "version of medrobust", "seed": "seed"}


@dataclass(frozen=True)
class Comparison:
    """Two runs compared.

    Args:
        content: what compare.json holds.
        folder: with compare.json, compare.md and compare.html; None where nothing was written.
    """

    content: dict[str, Any]
    folder: Path | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One for each metric and budget: {metric, norm, epsilon, a, b, difference, p_value, p_holm, ...}."""
        return list(self.content["rows"])

    @property
    def limits(self) -> list[dict[str, Any]]:
        """One for each limit: {limit, words, verdict, judged}."""
        return list(self.content["limits"])

    @property
    def verdict(self) -> str | None:
        """met, not met, undecided; None without limits."""
        found: str | None = self.content["verdict"]
        return found


def compare_runs(a: AuditRun, b: AuditRun, limits: Sequence[Limit] = (), *, common: bool = False) -> dict[str, Any]:
    """What compare.json holds: the differences of b from a on the same images.

    Args:
        a, b: the old run and the new one.
        limits: that the new one is held to.
        common: compare the budgets that both have, and leave out the others.

    Errors: UserError where a file is missing, or images, labels, classes, protocols or budgets are not the same.
    """
    classes = [list(run.content["data"]["classes"]) for run in (a, b)]
    if classes[0] != classes[1]:
        raise UserError("compare", f"the classes are {classes[0]} in one run and {classes[1]} in the other")
    positives = [run.content["data"].get("positive_class") for run in (a, b)]
    if positives[0] != positives[1]:
        problem = f"the positive class is {positives[0]!r} in one run and {positives[1]!r} in the other"
        raise UserError("compare", problem)
    masks = [f"in the {run.records.mask}" if run.records.mask else "everywhere" for run in (a, b)]
    if masks[0] != masks[1]:
        problem = f"pixels may change {masks[0]} in one run and {masks[1]} in the other"
        raise UserError("compare", problem, "audit both with one threat.mask")
    positive = classes[0].index(positives[0]) if positives[0] in classes[0] else None
    rows = compare_rows(a.records, b.records, positive=positive, common=common)
    judged = judge(rows, limits)
    grouping = Grouping(a.records.clean["group_id"])
    return {
        "schema": SCHEMA,
        "a": _of(a),
        "b": _of(b),
        "num_images": len(grouping.groups),
        "num_groups": grouping.num_groups,
        "positive_class": positives[0],
        "method": METHOD,
        "correction": "Holm over the budgets of each metric, unchanged images among them",
        "notes": _notes(a, b),
        "rows": as_dicts(rows),
        "limits": judged,
        "verdict": verdict(judged),
        "medrobust": __version__,
        "finished": now(),
    }


def write_comparison(content: dict[str, Any], folder: Path | None = None) -> Path:
    """Write compare.json and compare.md; returns the folder, by default runs/compare-HASH."""
    parts = {name: content[name]["records_sha256"] for name in "ab"} | {
        "limits": [one["limit"] for one in content["limits"]]
    }
    folder = folder or Path("runs") / f"compare-{digest(parts)[:10]}"
    write_json(folder / "compare.json", content)
    write_atomic(folder / "compare.md", as_text(content))
    return folder


def as_text(content: dict[str, Any]) -> str:
    """compare.md: limits and differences as tables."""
    lines = ["# Comparison", "", f"A: {content['a']['name']}  ", f"B: {content['b']['name']}", ""]
    lines += [
        f"{content['num_images']} images of {content['num_groups']} groups, paired. {_sentence(content['method'])}",
        "",
    ]
    lines += [f"- {note}" for note in content["notes"]] + [""] * bool(content["notes"])
    if content["limits"]:
        lines += [f"## Limits: {content['verdict']}", "", "| limit | found | verdict |", "|---|---|---|"]
        lines += [f"| {one['words']} | {shown(one['judged'])} | {one['verdict']} |" for one in content["limits"]] + [""]
    lines += [
        "## Differences",
        "",
        "| metric | budget | A | B | B - A | p | p (Holm) |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in content["rows"]:
        cells = [row["metric"], budget_text(row), *(shown(row[name]) for name in ("a", "b", "difference"))]
        cells += [p_text(row[name]) for name in ("p_value", "p_holm")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"p is corrected by {content['correction']}.", ""])


def budget_text(row: dict[str, Any]) -> str:
    """The budget of a row as people read it."""
    return "untouched" if row["norm"] is None else f"{row['norm']} {epsilon_text(row['epsilon'], row['norm'])}"


def shown(found: dict[str, Any]) -> str:
    """A value and its interval.

    Example:
        >>> shown({"value": 0.5, "low": 0.25, "high": 0.75})
        '0.500 [0.250, 0.750]'
    """
    if found["value"] is None:
        return "n/a"
    if found["low"] is None:
        return f"{found['value']:.3f}"
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def p_text(p: float | None) -> str:
    """A p-value as people read it."""
    return "n/a" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _of(run: AuditRun) -> dict[str, Any]:
    model, told = run.content["model"], run.content.get("provenance") or {}
    return {
        "folder": run.folder.name,
        "name": model["name"],
        "records_sha256": sha256_file(run.folder / "records.parquet"),
        "model_sha256": told.get("model_sha256"),
        "finished": told.get("finished"),
    }


def _notes(a: AuditRun, b: AuditRun) -> list[str]:
    """What else than the classifier differs between the runs, so that a difference may come from it."""
    told = [run.content.get("provenance") or {} for run in (a, b)]
    notes = [
        f"The {what} of both runs differ: {told[0].get(key)} and {told[1].get(key)}."
        for key, what in FROM_AUDIT.items()
        if key not in ("model_sha256", "data_sha256") and told[0].get(key) != told[1].get(key)
    ]
    if told[0].get("data_sha256") != told[1].get("data_sha256"):
        notes.append("The images have the same names and labels, but not the same content or view in both runs.")
    if told[0].get("model_sha256") == told[1].get("model_sha256"):
        notes.append("Both runs are of the same classifier.")
    attacks = [run.content["protocol"].get("attacks") or {} for run in (a, b)]
    parameters = [{title: one.get("parameters") for title, one in found.items()} for found in attacks]
    if parameters[0] != parameters[1]:
        notes.append("The attacks of both runs differ, so a difference under attack may be one of the attacks.")
    return notes
