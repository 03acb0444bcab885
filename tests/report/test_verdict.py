"""The first sentence, for every kind of classifier."""

from __future__ import annotations

from typing import Any

import pytest

from medrobust.report.verdict import context, trust, verdict

GREY = 1 / 255


def audit(
    shares: dict[float, float],
    *,
    clean: float | None = 0.9,
    norm: str = "linf",
    classes: int = 2,
    balanced: tuple[float, float, float] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """An audit with these robust accuracies at these budgets, in grey levels for linf."""
    scale = GREY if norm == "linf" else 1.0
    rows = [
        {"attack": "pgd", "norm": norm, "epsilon": size * scale, "robust_accuracy": {"value": share}}
        for size, share in shares.items()
    ]
    metrics: dict[str, Any] = {} if clean is None else {"accuracy": {"value": clean, "low": clean - 0.05, "high": 0.99}}
    if balanced:
        metrics["balanced_accuracy"] = dict(zip(("value", "low", "high"), balanced, strict=True))
    names = [f"class {i}" for i in range(classes)]
    worst = [{key: value for key, value in row.items() if key != "attack"} for row in rows]
    data = {"num_images": 200, "classes": names}
    return {"model": "m", "data": data, "curve": rows, "worst_case": worst, "clean": metrics, **more}


RIGHT = "images it gets right"
CASES = [
    (
        audit({0.1: 0.88, 0.5: 0.45, 1: 0.1}),
        "half",
        f"A change of at most 0.5 grey levels out of 255, invisible to the eye, is enough to make this classifier "
        f"wrong on half of the {RIGHT}.",
    ),
    (
        audit({0.1: 0.88, 0.5: 0.46, 1: 0.1}),
        "half",
        f"A change of at most 1 grey level out of 255, invisible to the eye, is enough to make this classifier "
        f"wrong on 89% of the {RIGHT}.",
    ),
    (
        audit({1: 0.85, 2: 0.43}),
        "half",
        f"A change of at most 2 grey levels out of 255, practically invisible, is enough to make this classifier "
        f"wrong on about half of the {RIGHT}.",
    ),
    (
        audit({0.1: 0.0, 10: 0.0}),
        "least",
        f"Even the smallest change tested, at most 0.1 grey levels out of 255 and invisible to the eye, makes this "
        f"classifier wrong on every one of the {RIGHT}.",
    ),
    (
        audit({0.1: 0.001, 10: 0.0}),
        "least",
        f"Even the smallest change tested, at most 0.1 grey levels out of 255 and invisible to the eye, makes this "
        f"classifier wrong on >99% of the {RIGHT}.",
    ),
    (
        audit({4: 0.2}),
        "half",
        f"A change of at most 4 grey levels out of 255, hard to see, is enough to make this classifier wrong on 78% "
        f"of the {RIGHT}.",
    ),
    (
        audit({1: 0.9, 8: 0.72}),
        "some",
        f"A change of up to 8 grey levels out of 255, the largest tested, makes this classifier wrong on 20% of the "
        f"{RIGHT}; the other 80% held.",
    ),
    (
        audit({1: 0.9, 8: 0.9}),
        "none",
        "No change of up to 8 grey levels out of 255, the largest tested, made this classifier wrong on any image it "
        "gets right, by any attack tried.",
    ),
    (
        audit({0.1: 0.8, 0.5: 0.3}, norm="l2"),
        "half",
        f"A change of at most 0.5 in L2 distance is enough to make this classifier wrong on 67% of the {RIGHT}.",
    ),
    (
        audit({1: 0.4, 2: 0.3}, clean=None),
        "least",
        "Even the smallest change tested, at most 1 grey level out of 255 and invisible to the eye, makes this "
        "classifier wrong on 60% of the images.",
    ),
    (
        audit({1: 0.4}, balanced=(0.52, 0.45, 0.59)),
        "guessing",
        "Even on unchanged images this classifier does no better than guessing (balanced accuracy 52%; guessing gives "
        "50%), so its resistance to change means nothing.",
    ),
    (
        audit({1: 0.4}, clean=0.67, classes=7, balanced=(1 / 7, 0.13, 0.16)),
        "guessing",
        "Even on unchanged images this classifier does no better than guessing (balanced accuracy 14.3%; guessing "
        "gives 14.3%), so its resistance to change means nothing.",
    ),
    (
        audit({1: 0.4}, balanced=(0.6, 0.4, 0.8)),
        "guessing",
        "On so few images this classifier cannot be told from guessing (balanced accuracy 60%, 95% interval 40.0% to "
        "80.0%; guessing gives 50%), so its resistance to change means little.",
    ),
    (audit({}), "unmeasured", "No attack was measured in this run, so it says nothing about resistance to change."),
]


@pytest.mark.parametrize(("given", "kind", "sentence"), CASES, ids=[f"{case[1]}-{i}" for i, case in enumerate(CASES)])
def test_sentence(given: dict[str, Any], kind: str, sentence: str) -> None:
    said = verdict(given)
    assert (said.kind, said.sentence) == (kind, sentence)


def test_three_classes_at_two_fifths_are_above_guessing() -> None:
    assert verdict(audit({1: 0.1}, clean=0.5, classes=3, balanced=(0.5, 0.42, 0.58))).kind == "half"


def test_without_worst_case_the_strongest_attack_at_each_budget_speaks() -> None:
    given = audit({0.5: 0.8, 1: 0.7})
    given["curve"] += [
        {"attack": "cw_linf", "norm": "linf", "epsilon": e * GREY, "robust_accuracy": {"value": share}}
        for e, share in ((0.5, 0.85), (1, 0.2))
    ]
    del given["worst_case"]
    assert "at most 1 grey level out of 255" in verdict(given).sentence
    assert "78%" in verdict(given).sentence


def test_first_norm_of_the_audit_speaks() -> None:
    both = audit({0.5: 0.1}, norm="l2")
    both["curve"] = both["curve"] + audit({3: 0.1})["curve"]
    both["worst_case"] = both["worst_case"] + audit({3: 0.1})["worst_case"]
    assert "L2 distance" in verdict(both).sentence
    assert context(both)[-1] == "Changes measured by linf distance are in the figures below."


def test_context_says_what_saving_to_a_file_undoes() -> None:
    given = audit({0.2: 0.3}, stored=[{"norm": "linf", "epsilon": 0.2 * GREY, "robust_accuracy": {"value": 0.9}}])
    assert context(given) == [
        "Untouched, 90% of the 200 images are read correctly (95% interval 85.0% to 99.0%).",
        "When each may be changed by up to 0.2 grey levels out of 255, in the way that misleads this classifier most, "
        "30% are.",
        "Saved as image files, which rounds these changes to whole grey levels, 90% are read correctly.",
    ]
    assert len(context(audit({0.2: 0.3}, stored=[{**given["stored"][0], "robust_accuracy": 0.305}]))) == 2


def finding(severity: str, title: str = "Is it so?") -> dict[str, str]:
    return {"id": "x", "severity": severity, "title": title, "evidence": "", "advice": ""}


@pytest.mark.parametrize(
    ("severities", "worst", "sentence"),
    [
        (["pass", "pass"], "pass", "All 2 checks of the measurement passed."),
        (["pass"], "pass", "The check of the measurement passed."),
        (["pass", "not_run"], "pass", "The check of the measurement passed. 1 check could not run."),
        (["warn", "pass"], "warn", "No check of the measurement failed; 1 of 2 gives a warning."),
        (["warn", "warn", "not_run", "not_run"], "warn", "No check of the measurement failed; 2 of 2 give a warning. "
         "2 checks could not run."),
        (["fail", "warn"], "fail", "1 of 2 checks failed: \u201cIs it so?\u201d Read the numbers with this in mind."),
        (["not_run"], "not_run", "The measurement was not checked for the usual errors: the classifier may resist less "
         "than these numbers say."),
        ([], "not_run", "The measurement was not checked for the usual errors: the classifier may resist less than "
         "these numbers say."),
    ],
)  # fmt: skip
def test_trust(severities: list[str], worst: str, sentence: str) -> None:
    assert trust(audit({1: 0.5}, findings=[finding(severity) for severity in severities])) == (worst, sentence)
