"""Subgroups: counted over their own images, silent where they are too small, compared with a correction."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from medrobust.records import Grouping
from medrobust.records.groups import bands, columns
from medrobust.records.intervals import wilson
from medrobust.records.per_class import Reading
from medrobust.records.subgroups import FEWEST_IMAGES, apart, subgroups
from medrobust.records.worst_answers import untouched, worst_answers
from records.tables import make_records


def test_ages_are_children_and_decades() -> None:
    ages = np.array([3, 17.9, 18, 29, 30, 45, 59.5, 60, 71, 80, 97, np.nan])
    names = ["0 to 17", "0 to 17", "18 to 29", "18 to 29", "30 to 39", "40 to 49", "50 to 59", "60 to 69", "70 to 79"]
    names += ["80 and over", "80 and over", "unknown"]
    assert bands(ages, "age").tolist() == bands(ages, "patient_age").tolist() == names
    assert bands(ages, "dosage").tolist() != names, "the name of another column"


def test_a_column_of_many_sites_stays_where_each_has_images() -> None:
    n = 240
    meta = {"site": [f"s{i % 12:02}" for i in range(n)], "id": [f"p{i}" for i in range(n)]}
    records = make_records([0, 1] * (n // 2), [0, 1] * (n // 2), {("a", "linf"): {0.1: [0] * n}}, meta=meta)
    assert set(columns(records, ("x", "y"))) == {"class", "site"}


def test_each_value_is_counted_over_its_own_images() -> None:
    labels = [0, 1] * 20
    clean = [0, 1] * 10 + [0, 0] * 10
    records = make_records(labels, clean, {("a", "linf"): {0.1: [1, 1] * 20}}, meta={"sex": ["f"] * 20 + ["m"] * 20})
    how = Reading(records.clean["label"], Grouping(records.clean["group_id"]))
    said = [untouched(records), *worst_answers(records, "linf")]
    found = subgroups(columns(records, ("x", "y")), said, how, 1)
    metrics = {value: found["sex", value]["metrics"] for value in "fm"}
    assert [m["sensitivity"]["value"] for m in metrics["f"]] == [1.0, 1.0]
    assert [m["specificity"]["value"] for m in metrics["f"]] == [1.0, 0.0]
    assert [m["accuracy"]["value"] for m in metrics["m"]] == [0.5, 0.0]
    assert [(m["norm"], m["epsilon"]) for m in metrics["m"]] == [(None, 0.0), ("linf", 0.1)]
    assert [w["difference"]["value"] for w in found["sex", "m"]["worst_at"]] == [-0.5, -0.5]
    assert found["sex", "f"]["worst_at"] == []


def test_a_small_group_is_said_to_be_small_and_has_no_numbers() -> None:
    n = 3 * FEWEST_IMAGES
    few = FEWEST_IMAGES - 1
    records = make_records(
        [0, 1] * (n // 2),
        [0, 1] * (n // 2),
        {("a", "linf"): {0.1: [0] * n}},
        meta={"sex": ["f"] * few + ["m"] * (n - few)},
    )
    how = Reading(records.clean["label"], Grouping(records.clean["group_id"]))
    found = subgroups(columns(records, ("x", "y")), [untouched(records)], how, 1)
    assert found["sex", "f"]["too_small"]
    assert found["sex", "f"]["metrics"][0]["accuracy"] == {"value": None, "low": None, "high": None}
    assert not found["sex", "m"]["too_small"]
    assert found["sex", "m"]["worst_at"] == [], "there is nothing to compare it with"
    one_patient = Reading(records.clean["label"], Grouping(np.repeat([0, 1, 2], FEWEST_IMAGES)))
    assert subgroups(columns(records, ("x", "y")), [untouched(records)], one_patient, 1)["sex", "m"]["too_small"]


def test_the_test_of_independent_images_is_the_usual_one_and_is_corrected() -> None:
    """Four sites of 50 images; the chi-square test of 2 x 2 counts without correction for continuity."""
    hits = {"a": 30, "b": 45, "c": 44, "d": 46}
    site = np.repeat(list(hits), 50).astype(object)
    labels = np.zeros(200, int)
    read = np.concatenate([np.arange(50) >= h for h in hits.values()]).astype(int)
    records = make_records(labels.tolist(), read.tolist(), {("x", "linf"): {0.1: [1] * 200}})
    found = subgroups({"site": site}, [untouched(records)], Reading(labels, Grouping(np.arange(200))), None)
    (worst,) = found["site", "a"]["worst_at"]
    table = [[30, 20], [135, 15]]
    assert worst["p_value"] == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    assert worst["p_corrected"] == pytest.approx(4 * worst["p_value"])
    assert "sensitivity" not in found["site", "a"]["metrics"][0]


def test_groups_that_do_not_differ_are_seldom_found_to_differ() -> None:
    """Six sites of 15 patients with three images that are alike: at most 1 set in 10 has a corrected p < .05."""
    rng, found = np.random.default_rng(3), 0
    patient = np.arange(270) // 3
    site = np.array([f"s{p // 15}" for p in patient], dtype=object)
    for _ in range(200):
        right = np.where(rng.random(270) < 0.6, rng.random(90)[patient] < 0.8, rng.random(270) < 0.8)
        read = (~right).astype(int)
        records = make_records([0] * 270, read.tolist(), {})
        rows = subgroups({"site": site}, [untouched(records)], Reading(np.zeros(270, int), Grouping(patient)), None)
        found += any(one["p_corrected"] < 0.05 for row in rows.values() for one in row["worst_at"])
    assert found <= 20


def test_the_difference_of_shares_is_that_of_newcombe() -> None:
    """Newcombe 1998, method 10, 56 of 70 less 48 of 80: .2 from .0524 to .3339."""
    found = apart(wilson(56, 70), wilson(48, 80))
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)
