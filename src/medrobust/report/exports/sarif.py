"""findings.sarif: the checks in the Static Analysis Results Interchange Format 2.1.0 (OASIS), for programs."""

from __future__ import annotations

import json
from typing import Any

from ..measured import Json, mapping
from ..words import plain

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
# Severity -> kind and level of SARIF; a result that is not of kind "fail" has the level "none" (3.27.10).
KINDS = {
    "fail": ("fail", "error"),
    "warn": ("fail", "warning"),
    "pass": ("pass", "none"),
    "not_run": ("notApplicable", "none"),
}

TIMES = (("startTimeUtc", "started"), ("endTimeUtc", "finished"))


def _result(row: Json, index: int) -> dict[str, Any]:
    kind, level = KINDS.get(str(row.get("severity")), ("open", "none"))
    said = [plain(row[key]) for key in ("title", "evidence") if row.get(key)]
    result: dict[str, Any] = {
        "ruleId": str(row.get("id") or "unnamed"),
        "ruleIndex": index,
        "kind": kind,
        "level": level,
        "message": {"text": " ".join(said) or "no evidence recorded"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": "audit.json"}}}],
    }
    if row.get("advice"):
        result["properties"] = {"advice": plain(row["advice"])}
    return result


def _reason(row: Json) -> list[str]:
    return [plain(row[key]) for key in ("why", "reference") if row.get(key)]


def sarif(audit: Json) -> str:
    """One run whose rules are the checks; a finding without an id is of the rule "unnamed".

    Example:
        >>> made = json.loads(sarif({"findings": [{"id": "reach", "severity": "warn", "title": "Can it?"}]}))
        >>> made["runs"][0]["results"][0]["level"], made["runs"][0]["tool"]["driver"]["rules"][0]["id"]
        ('warning', 'reach')
    """
    rows = list(audit.get("findings") or ())
    names = list(dict.fromkeys(str(row.get("id") or "unnamed") for row in rows))
    titles = {str(row.get("id") or "unnamed"): str(row.get("title") or "") for row in rows}
    reasons = {str(row.get("id") or "unnamed"): " ".join(_reason(row)) for row in rows}
    made = mapping(audit.get("provenance"))
    texts = {"shortDescription": titles, "fullDescription": reasons}
    rules = [{"id": name} | {key: {"text": of[name]} for key, of in texts.items() if of[name]} for name in names]
    driver: dict[str, Any] = {"name": "medrobust", "rules": rules}
    driver |= {"semanticVersion": str(made["medrobust"])} if made.get("medrobust") else {}
    run: dict[str, Any] = {
        "tool": {"driver": driver},
        "results": [_result(row, names.index(str(row.get("id") or "unnamed"))) for row in rows],
    }
    if made.get("command"):
        when = {key: made[name] for key, name in TIMES if made.get(name)}
        run["invocations"] = [{"commandLine": str(made["command"]), "executionSuccessful": True, **when}]
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"
