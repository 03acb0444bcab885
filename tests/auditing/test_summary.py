"""audit.json from rows that were written by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from medrobust.auditing.summary import NUM_FRAGILE, budget, source_units, summarize
from medrobust.data import ImageSet
from medrobust.measuring.outcome import Grid
from medrobust.records import Records
from medrobust.testing.image_sets import tiny_set
from records.tables import answers, make_records

LINF = (0.001, 0.01, 0.1)


def summary(records: Records, classes: tuple[str, ...] = ("benign", "malignant"), positive: int | None = 1) -> Any:
    grids = tuple(Grid(norm, tuple(records.worst_case(norm).epsilons.tolist())) for norm in records.norms)
    return summarize(records, classes=classes, positive=positive, grids=grids, resolutions=[1 / 255])


@pytest.fixture(scope="module")
def records() -> Records:
    """Image 0 is wrong, 1 falls first, 2 falls to the second attack, 3 never."""
    pgd = {0.001: [1, 0, 1, 0], 0.01: [1, 1, 1, 0], 0.1: [1, 1, 1, 0]}
    fab = {0.01: [1, 0, 0, 0], 0.1: [0, 0, 0, 0]}
    attacks = {("pgd", "linf"): pgd, ("fab", "linf"): fab, ("pgd", "l2"): {1.0: [1, 1, 0, 0]}}
    return make_records(
        [0, 0, 1, 0], [1, 0, 1, 0], attacks, meta={"sex": list("ffmm")}, confidence=[0.6, 0.7, 0.8, 0.9]
    )


def test_curves_and_the_worst_case(records: Records) -> None:
    found = summary(records)
    values = {(p["attack"], p["norm"], p["epsilon"]): p["robust_accuracy"]["value"] for p in found["curve"]}
    assert [values["pgd", "linf", e] for e in LINF] == [0.75, 0.5, 0.5]
    assert [values["fab", "linf", e] for e in (0.01, 0.1)] == [0.5, 0.5]
    worst = {(p["norm"], p["epsilon"]): p["robust_accuracy"]["value"] for p in found["worst_case"]}
    assert worst == {("linf", 0.001): 0.75, ("linf", 0.01): 0.25, ("linf", 0.1): 0.25, ("l2", 1.0): 0.25}
    assert all("attack" not in p for p in found["worst_case"])
    assert {"value", "low", "high"} == set(found["worst_case"][0]["robust_accuracy"])
    assert found["curve"][0]["raw"] == {"value": 0.75}


def test_clean_metrics_speak_of_the_positive_class(records: Records) -> None:
    assert summary(records)["clean"]["sensitivity"]["value"] == 1.0
    assert summary(records, positive=0)["clean"]["sensitivity"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert summary(records, positive=None)["clean"]["sensitivity"]["value"] == 1.0
    assert summary(records)["clean"]["method"] == "95 % Wilson interval"


def test_which_class_turns_into_which(records: Records) -> None:
    rows = {(r["norm"], r["epsilon"]): r["counts"] for r in summary(records)["direction"]}
    to_malignant = {"from": "benign", "to": "malignant", "count": 1}
    to_benign = {"from": "malignant", "to": "benign", "count": 1}
    assert rows["linf", 0.001] == []
    assert rows["linf", 0.01] == rows["linf", 0.1] == rows["l2", 1.0] == [to_malignant, to_benign]


def test_the_most_fragile_come_first_and_wrong_ones_not_at_all(records: Records) -> None:
    found = summary(records)["fragile"]
    assert [(f["image_id"], f["epsilon_wrong"], f["attack"], f["label"]) for f in found] == [
        ("i1", 0.01, "pgd", "benign"),
        ("i2", 0.01, "fab", "malignant"),
    ]
    assert [(f["change_wrong"], f["read_as"]) for f in found] == [(0.005, "malignant"), (0.005, "benign")]
    many = make_records(
        [0] * 20, [0] * 20, {("a", "linf"): {0.1: [1] * 20}}, confidence=[0.99 - i / 50 for i in range(20)]
    )
    fragile = summary(many)["fragile"]
    assert [f["image_id"] for f in fragile] == [f"i{i}" for i in range(19, 19 - NUM_FRAGILE, -1)], "ties by confidence"


def test_the_change_itself_orders_the_most_fragile_not_its_budget() -> None:
    """Image 1 falls at a larger budget of a search whose change is smaller: it comes first, with that attack."""
    one = make_records([0, 0], [0, 0], {("a", "linf"): {0.1: [1, 0], 0.2: [1, 0]}, ("b", "linf"): {0.2: [0, 1]}})
    sizes = {("a", "i0"): 0.09, ("b", "i1"): 0.03}
    names = zip(one["attack"], one["image_id"], one["distance"], strict=True)
    distance = np.array([sizes.get((a, i), 0.0) if d else d for a, i, d in names])
    found = summary(Records(dict(one.columns) | {"distance": distance}))["fragile"]
    assert [(f["image_id"], f["change_wrong"], f["epsilon_wrong"], f["attack"]) for f in found] == [
        ("i1", 0.03, 0.2, "b"),
        ("i0", 0.09, 0.1, "a"),
    ]


def test_sensitivity_of_right_images_and_how_many_never_fall(records: Records) -> None:
    linf, l2 = summary(records)["sensitivity"]
    assert (linf["norm"], l2["norm"]) == ("linf", "l2")
    assert linf["num_never"] == 1
    assert linf["epsilon_wrong"]["num_images"] == 3
    assert linf["epsilon_wrong"]["median"] == 0.01
    assert linf["change_wrong"]["median"] == 0.005
    assert linf["ecdf"] == {"points": [[0.005, 0.666667]], "num_images": 3, "num_never": 1}
    assert linf["epsilon_flip"]["num_images"] == 4
    assert linf["epsilon_flip"]["quantiles"]["0.95"] is None


def test_as_stored_counts_only_what_survives_saving() -> None:
    attacks = {("a", "linf"): {0.1: [1, 1], 0.2: [1, 1]}}
    gone = summary(make_records([0, 0], [0, 0], attacks, survives=False))["stored"]
    kept = summary(make_records([0, 0], [0, 0], attacks))["stored"]
    assert [p["robust_accuracy"]["value"] for p in gone] == [1.0, 1.0]
    assert [p["robust_accuracy"]["value"] for p in kept] == [0.0, 0.0]
    wrong = summary(make_records([1, 0], [0, 0], attacks, survives=False))["stored"]
    assert [p["robust_accuracy"]["value"] for p in wrong] == [0.5, 0.5]


def test_every_number_of_protocol_paper_is_that_of_its_budget_alone() -> None:
    """Image 0 is broken and repaired, image 1 is wrong and repaired, image 2 falls at the last budget."""
    attacks = {("least_likely", "linf"): {0.1: [1, 1, 0], 0.2: [0, 0, 0], 0.3: [0, 0, 1]}}
    records = make_records([0, 0, 0], [0, 1, 0], attacks, protocol="paper", meta={"sex": list("ffm")})
    found = summary(records)
    expected = pytest.approx([1 / 3, 1, 2 / 3], abs=1e-6)
    for part in ("curve", "worst_case", "stored"):
        assert [p["robust_accuracy"]["value"] for p in found[part]] == expected, part
    females = next(g for g in found["groups"] if g["value"] == "f")
    assert [r["value"] for r in females["robust_accuracy"]] == [0.0, 1.0, 1.0]
    assert [sum(c["count"] for c in row["counts"]) for row in found["direction"]] == [1, 0, 1]
    gone = summary(make_records([0, 0, 0], [0, 1, 0], attacks, protocol="paper", survives=False))["stored"]
    assert [p["robust_accuracy"]["value"] for p in gone] == pytest.approx([2 / 3, 1, 1], abs=1e-6)


def test_groups_and_referral_follow_the_rows(records: Records) -> None:
    found = summary(records)
    assert {(g["column"], g["value"]) for g in found["groups"]} == {
        ("class", "benign"), ("class", "malignant"), ("sex", "f"), ("sex", "m"),
    }  # fmt: skip
    half = next(row for row in found["referral"] if row["fraction"] == 0.5)
    # Images 1 and 2 flip at 0.01, image 0 at 0.1: the two most sensitive are right ones.
    assert half["accuracy"] == 0.5
    assert half["baseline_confidence"] == 1.0


@settings(max_examples=15)
@given(answers())
def test_the_parts_agree_with_each_other(case: dict[str, Any]) -> None:
    records = make_records(**case)
    found = summary(records, classes=("a", "b", "c"), positive=None)
    json.dumps(found, allow_nan=False)
    n, right = len(case["labels"]), sum(a == b for a, b in zip(case["labels"], case["clean"], strict=True))
    turned = {(r["norm"], r["epsilon"]): sum(c["count"] for c in r["counts"]) for r in found["direction"]}
    for point in found["worst_case"]:
        standing = round(point["robust_accuracy"]["value"] * n)
        assert turned[point["norm"], point["epsilon"]] == right - standing
    assert found["clean"]["accuracy"]["value"] == pytest.approx(right / n, abs=1e-6)


def test_budgets_in_the_units_of_people() -> None:
    assert budget("linf", 2 / 255, [1 / 255]) == {
        "norm": "linf",
        "epsilon": 2 / 255,
        "text": "2/255",
        "grey_levels": 2.0,
        "percent": 0.7843,
    }
    assert budget("linf", 1 / 255, [1 / 4095])["grey_levels"] == pytest.approx(4095 / 255, abs=1e-3)
    assert budget("linf", 1 / 255, [1 / 400])["grey_levels"] == pytest.approx(400 / 255, abs=1e-3)
    assert budget("linf", 1 / 255, [1 / 65535, 1 / 255])["grey_levels"] is None
    assert budget("linf", 1 / 255, [0.0])["grey_levels"] is None
    hu = budget("linf", 20.48, [1 / 2048], (-1024.0, 1024.0))
    assert (hu["percent"], hu["grey_levels"]) == (1.0, 20.48)
    assert budget("l2", 0.5, [1 / 255]) == {"norm": "l2", "epsilon": 0.5, "text": "0.5"}


def test_units_of_the_source() -> None:
    tiny = source_units(tiny_set(4), [1 / 255, 4 / 255])
    assert (tiny["unit"], tiny["words"], tiny["bits"]) == ("grey level", "1/255 is 1 grey level of the file", [8])
    assert [b["low"] for b in tiny["budgets"]] == [1.0, 4.0]
    floats = source_units(ImageSet.of(np.random.default_rng(0).random((4, 1, 3, 3)), [0, 1, 0, 1]), [0.5])
    assert (floats["unit"], floats["budgets"][0]["low"]) == ("float", 0.5)


def test_every_new_part_speaks_of_the_same_budgets(records: Records) -> None:
    found = summary(records)
    budgets = [(p["norm"], p["epsilon"]) for p in found["worst_case"]]
    assert [(row["norm"], row["epsilon"]) for row in found["under_attack"]] == budgets
    for row, point in zip(found["under_attack"], found["worst_case"], strict=True):
        assert row["metrics"]["accuracy"] == point["robust_accuracy"]
    with_clean = [(None, 0.0), *budgets]
    assert [(row["norm"], row["epsilon"]) for row in found["harm"]] == with_clean
    assert [(row["norm"], row["epsilon"]) for row in found["sample_size"]["rows"]] == with_clean
    assert [(row["norm"], row["epsilon"]) for row in found["groups"][0]["metrics"]] == with_clean
    assert {"ece", "brier", "method"} == set(found["calibration"])
    harm = {(row["norm"], row["epsilon"]): row for row in found["harm"]}
    # Untouched, image 0 is a false alarm; at 0.01 image 1 is another, and image 2 is missed.
    assert harm[None, 0.0]["false_alarm"]["count"] == 1
    assert (harm["linf", 0.01]["false_alarm"]["count"], harm["linf", 0.01]["missed"]["count"]) == (2, 1)
    assert summary(records, positive=None)["harm"] == []
