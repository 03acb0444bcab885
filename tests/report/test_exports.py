"""The files beside the page: held to their schema or standard, and to the numbers of audit.json."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from medrobust.report import write_report
from medrobust.report.exports import EXPORTS, exports
from medrobust.report.exports.chai import NAMESPACE, card
from medrobust.report.exports.claim import claim
from medrobust.report.exports.sarif import sarif
from medrobust.report.exports.table import curve_csv
from medrobust.report.sentence import for_use
from report.make_keys import make_keys
from report.make_run import make_audit, make_run

XSD = Path(__file__).parent / "data" / "chai-v0.2.xsd"
# The schema refers to that of XML signatures, of which it uses one optional element; no test asks the network for it.
SIGNATURE = (
    '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="http://www.w3.org/2000/09/xmldsig#">'
    '<xs:element name="Signature"/></xs:schema>'
)
BARE = {"schema": "medrobust.audit/1", "model": "m", "data": {}, "curve": []}
HOSTILE = make_audit(model="<script>|a\x00b", data="]]>&amp;", attacks=("=cmd()", "b"), num_budgets=3)
AUDITS: dict[str, dict[str, Any]] = {
    "default": make_audit(),
    "proven": make_audit() | make_keys(make_audit()),
    "two-norms": make_audit(norms=("linf", "l2"), num_budgets=3),
    "hostile": HOSTILE,
    "bare": BARE,
}


@pytest.fixture(scope="module")
def schema() -> Any:
    etree = pytest.importorskip("lxml.etree")

    class Offline(etree.Resolver):  # type: ignore[misc]
        def resolve(self, url: str, public: str, context: Any) -> Any:
            return self.resolve_string(SIGNATURE, context) if url.startswith("http") else None

    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(Offline())
    return etree.XMLSchema(etree.parse(str(XSD), parser))


@pytest.mark.parametrize("name", AUDITS)
def test_card_is_valid_by_the_schema_of_chai(schema: Any, name: str) -> None:
    etree = pytest.importorskip("lxml.etree")
    root = etree.fromstring(card(AUDITS[name]).encode())
    assert schema.validate(root), schema.error_log
    for value in root.iter(f"{{{NAMESPACE}}}ValueJson"):
        content = json.loads(value.text)
        keys = {"single": {"kind", "value"}, "estimate_ci": {"kind", "estimate", "lower", "upper", "level", "unit"}}
        assert set(content) == keys[content["kind"]]


def test_schema_refuses_a_card_in_another_order(schema: Any) -> None:
    etree = pytest.importorskip("lxml.etree")
    root = etree.fromstring(card(make_audit()).encode())
    root[0].append(root[0][0])  # the name behind the contact
    assert not schema.validate(root)


def test_card_has_the_numbers_of_the_audit() -> None:
    etree = pytest.importorskip("lxml.etree")
    audit = AUDITS["proven"]
    root = etree.fromstring(card(audit).encode())
    results = root.find(f".//{{{NAMESPACE}}}SafetyReliability").findall(f".//{{{NAMESPACE}}}MetricResult")
    found = {one[0].text: json.loads(one[1].text) for one in results}
    worst = audit["worst_case"][-1]["robust_accuracy"]
    last = found["Accuracy under the worst change found of up to 10 grey levels out of 255"]
    assert (last["estimate"], last["upper"]) == (round(100 * worst["value"], 2), round(100 * worst["high"], 2))
    proven = [label for label in found if label.startswith("Accuracy certified")]
    assert len(proven) == sum(row["certified_accuracy"]["value"] > 0 for row in audit["certified"]["rows"]) < 10
    assert found["Accuracy, images unchanged"]["estimate"] == 91.5
    fairness = root.find(f".//{{{NAMESPACE}}}FairnessEquity").findall(f".//{{{NAMESPACE}}}MetricResult")
    assert len(fairness) == len(audit["groups"])
    assert "Poisoning" in root.find(f".//{{{NAMESPACE}}}Security").text


@pytest.mark.parametrize("name", AUDITS)
def test_sarif_has_what_the_standard_demands(name: str) -> None:
    """SARIF 2.1.0 (OASIS): the required properties, and the rules between kind and level, read in its text."""
    audit = AUDITS[name]
    log = json.loads(sarif(audit))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "medrobust"
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(ids) == len(set(ids))
    assert len(run["results"]) == len(audit.get("findings", ()))
    for result, finding in zip(run["results"], audit.get("findings", ()), strict=True):
        assert result["message"]["text"]
        assert ids[result["ruleIndex"]] == result["ruleId"] == finding["id"]
        assert result["kind"] in {"notApplicable", "pass", "fail", "review", "open", "informational"}
        assert result["level"] in {"none", "note", "warning", "error"}
        assert (result["level"] == "none") == (result["kind"] != "fail")  # 3.27.10
    wanted = {"fail": "error", "warn": "warning", "pass": "none", "not_run": "none"}
    assert [r["level"] for r in run["results"]] == [wanted[f["severity"]] for f in audit.get("findings", ())]
    for one in run.get("invocations", ()):
        assert one["executionSuccessful"] is True


def test_curve_has_every_accuracy_once_and_no_formula() -> None:
    audit = AUDITS["proven"]
    rows = list(csv.DictReader(io.StringIO(curve_csv(audit))))
    for row, wanted in zip([r for r in rows if r["attack"] == "worst_case"], audit["worst_case"], strict=True):
        found = wanted["robust_accuracy"]
        assert [float(row[k]) for k in ("epsilon", "accuracy", "low", "high")] == [
            wanted["epsilon"], found["value"], found["low"], found["high"],
        ]  # fmt: skip
    assert sum(row["attack"] in audit["protocol"]["attacks"] for row in rows) == len(audit["curve"])
    assert sum(row["attack"] == "certified" for row in rows) == len(audit["certified"]["rows"])
    assert rows[0] | {"low": "", "high": ""} == {
        "attack": "clean",
        "norm": "",
        "epsilon": "0.0",
        "epsilon_text": "0",
        "accuracy": "0.915",
        "low": "",
        "high": "",
    }
    names = {row["attack"] for row in csv.DictReader(io.StringIO(curve_csv(HOSTILE)))}
    assert "'=cmd()" in names
    assert "=cmd()" not in names


def test_claim_fills_what_it_can_and_marks_the_rest() -> None:
    lines = [line for line in claim(AUDITS["proven"]).splitlines() if re.match(r"\| \d+ ", line)]
    states = {line.split(" | ")[0].strip("| "): line.rstrip("| ").rsplit(" | ", 1)[1] for line in lines}
    assert {number for number, state in states.items() if state == "filled"} == {"29", "30", "31", "37", "38"}
    assert {number for number, state in states.items() if state == "partly"} == {"19", "20"}
    assert {number for number, state in states.items() if state == "author must supply"} == {"21", "32", "33"}
    assert "86.8% to 94.6%" in claim(AUDITS["proven"])
    assert for_use(AUDITS["proven"]).replace("_", "\\_") in claim(AUDITS["proven"])
    bare = claim(BARE)
    assert "| filled |" not in bare
    assert "<script>" not in claim(HOSTILE)
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 5 for line in claim(HOSTILE).splitlines() if line.startswith("|"))


def test_the_files_stand_beside_the_page_and_are_the_same_again(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    write_report(folder)
    first = {name: (folder / name).read_bytes() for name in EXPORTS}
    assert first == {name: text.encode() for name, text in exports(make_audit()).items()}
    write_report(folder)
    assert first == {name: (folder / name).read_bytes() for name in EXPORTS}
