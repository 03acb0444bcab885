"""card.chai.xml: an Applied Model Card of the Coalition for Health AI (schema v0.2), filled where an audit can.

https://mc.chai.org/v0.2/schema.xsd; the elements stand in the order of that schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from ..measured import (
    Estimate,
    Json,
    attack_name,
    class_names,
    clean_accuracy,
    estimate,
    focus,
    mapping,
    name_of,
    norms,
    worst_line,
)
from ..sentence import for_use
from ..words import Budget, counted, listed, plain

NAMESPACE = "https://mc.chai.org/v0.2/schema.xsd"
AUTHOR = "The author must supply this."
NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Result = tuple[str, str]


def value_json(found: Estimate) -> str:
    """A number as cards write it: kind single, or estimate_ci with both ends, in percent.

    Example:
        >>> value_json(Estimate(0.5))
        '{"kind":"single","value":50.0}'
        >>> json.loads(value_json(Estimate(0.5, 0.4, 0.6)))["upper"]
        60.0
    """
    value, low, high = (None if one is None else round(100 * one, 2) for one in (found.value, found.low, found.high))
    content: dict[str, Any] = {"kind": "single", "value": value}
    if low is not None and high is not None:
        content = {"kind": "estimate_ci", "estimate": value, "lower": low, "upper": high, "level": 95, "unit": "%"}
    return json.dumps(content, separators=(",", ":"))


def _results(pairs: Sequence[tuple[str, Estimate | None]]) -> list[Result]:
    return [(label, value_json(found)) for label, found in pairs if found and found.value is not None]


def _safety(audit: Json) -> list[Result]:
    found = [("Accuracy, images unchanged", clean_accuracy(audit))]
    for norm in norms(audit):
        line = worst_line(audit, norm)
        points = line.points if line else ()
        found += [(f"Accuracy under the worst change found of up to {p.budget.words}", p.accuracy) for p in points]
    for row in mapping(audit.get("certified")).get("rows") or ():
        size = Budget(str(row["norm"]), float(row["epsilon"])).words
        proven = estimate(row.get("certified_accuracy"))
        if proven and proven.value:  # a bound of 0 says nothing
            found.append((f"Accuracy certified against every change of up to {size}", proven))
    return _results(found)


def _fairness(audit: Json) -> list[Result]:
    rows = audit.get("groups") or ()
    return _results(
        [(f"Accuracy unchanged, {r['column']} {plain(r['value'])}", estimate(r.get("clean_accuracy"))) for r in rows]
    )


def _efficacy(audit: Json) -> list[Result]:
    clean = mapping(audit.get("clean"))
    names = ("accuracy", "balanced_accuracy", "sensitivity", "specificity")
    return _results([(name.replace("_", " ").capitalize(), estimate(clean.get(name))) for name in names])


def _metric(audit: Json, goal: str, results: list[Result], interpretation: str) -> list[Any]:
    data = mapping(audit["data"])
    count = f"{counted(int(data['num_images']), 'image')} of " if data.get("num_images") else ""
    what = f"{count}{name_of(audit['data']) if data else 'images'}, split {data.get('split', 'unknown')}."
    how = str(mapping(audit.get("protocol")).get("verified") or "")
    rows = results or [("Not measured", '{"kind":"single","value":null}')]
    return [
        ("MetricGoal", goal),
        ("Results", [("MetricResult", [("Label", label), ("ValueJson", value)]) for label, value in rows]),
        ("Interpretation", interpretation),
        ("TestType", "Retrospective, in silico: stored images, read by the classifier alone."),
        ("TestingDataDescription", what),
        ("ValidationProcessAndJustification", f"Audit by medrobust{f'; {how}' if how else ''}. {AUTHOR}"),
    ]


def security(audit: Json) -> str:
    """What was measured about attacks, in words; what was not."""
    point = focus(audit)
    if point is None:
        return "Resistance to adversarial changes of images was not measured."
    described = mapping(mapping(audit.get("protocol")).get("attacks"))
    names = [attack_name(audit, str(title)) for title in described]
    by = f" by {listed(names)}" if names else ""
    quotable = mapping(audit.get("quotable")).get("value")
    may = f" May the numbers be quoted, by the checks of the audit: {quotable}." if quotable in ("yes", "no") else ""
    return (
        f"Tested against evasion{by}: {for_use(audit)} Poisoning, model stealing, inversion and leakage were not "
        f"tested.{may}"
    )


def author(name: str) -> tuple[str, str]:
    """An element that an audit cannot fill."""
    return name, AUTHOR


def _content(audit: Json) -> list[Any]:
    data, made = mapping(audit["data"]), mapping(audit.get("provenance"))
    classes = ", ".join(class_names(audit))
    network = mapping(audit["model"]).get("network") or name_of(audit["model"])
    side = data.get("image_size")
    size = " x ".join(map(str, side)) if isinstance(side, list) else plain(side or "unknown")
    not_tested = " ".join(str(sentence) for sentence in audit.get("not_tested") or ())
    return [
        ("BasicInfo", [("ModelName", name_of(audit["model"])), author("ModelDeveloper"), author("DeveloperContact")]),
        (
            "ReleaseInfo",
            [
                author("ReleaseStage"),
                author("ReleaseDate"),
                ("ReleaseVersion", f"weights sha256 {made['model_sha256']}" if made.get("model_sha256") else AUTHOR),
                author("GlobalAvailability"),
            ],
        ),
        ("ModelSummary", [("Summary", for_use(audit) or AUTHOR), ("Keywords", [])]),
        (
            "UsesAndDirections",
            [
                author("IntendedUseAndWorkflow"),
                author("PrimaryIntendedUsers"),
                author("HowToUse"),
                author("TargetedPatientPopulation"),
                author("CautionedOutOfScopeSettings"),
            ],
        ),
        (
            "Warnings",
            [
                ("KnownRisksAndLimitations", f"{security(audit)} Not tested: {not_tested or 'not recorded.'}"),
                author("KnownBiasesOrEthicalConsiderations"),
                author("ClinicalRiskLevel"),
            ],
        ),
        (
            "TrustIngredients",
            [
                (
                    "AISystemFacts",
                    [
                        ("OutcomesAndOutputs", f"One of the classes: {classes}." if classes else AUTHOR),
                        ("ModelType", f"Image classifier, {network}."),
                        author("InputDataSource"),
                        ("OutputAndInputDataTypes", f"In: images of {size} pixels. Out: a probability for each class."),
                        author("DevelopmentDataCharacterization"),
                        author("BiasMitigationApproaches"),
                        author("OngoingMaintenance"),
                        ("Security", security(audit)),
                    ],
                ),
                ("TransparencyInformation", [author("FundingSource"), author("StakeholdersConsulted")]),
            ],
        ),
        (
            "KeyMetrics",
            [
                (
                    "UsefulnessUsabilityEfficacy",
                    _metric(audit, f"Reading images as they are. {AUTHOR}", _efficacy(audit), AUTHOR),
                ),
                ("FairnessEquity", _metric(audit, "Equal accuracy between groups.", _fairness(audit), AUTHOR)),
                (
                    "SafetyReliability",
                    _metric(
                        audit,
                        "Answers that stay right when an image is changed on purpose, by less than a reader sees.",
                        _safety(audit),
                        "The worst case found by the attacks tried: a stronger attack may find more.",
                    ),
                ),
            ],
        ),
        ("Resources", [author("PeerReviewedPublications"), author("PatientConsentOrDisclosure")]),
        ("Bibliography", ""),
    ]


def _add(parent: ElementTree.Element, parts: Sequence[Any]) -> None:
    for name, content in parts:
        child = ElementTree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
        if isinstance(content, str):
            child.text = NOT_XML.sub("\ufffd", content)
        else:
            _add(child, content)


def card(audit: Json) -> str:
    """The card as XML text; what an audit cannot know says that the author must supply it."""
    ElementTree.register_namespace("", NAMESPACE)
    root = ElementTree.Element(f"{{{NAMESPACE}}}AppliedModelCard")
    _add(root, _content(audit))
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"
