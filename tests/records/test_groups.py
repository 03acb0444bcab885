"""Numbers for parts of the data: which parts there are, and that each is counted over its own images."""

from __future__ import annotations

import numpy as np
import pytest

from medrobust.records.groups import MOST_VALUES, bands, groups
from records.tables import make_records


def test_words_stay_and_what_is_missing_is_unknown() -> None:
    assert bands(np.array(["f", None, "", "m"], dtype=object)).tolist() == ["f", "unknown", "unknown", "m"]
    assert bands(np.array([1.0, np.nan, 2.5])).tolist() == ["1", "unknown", "2.5"]
    assert bands(np.array([np.nan, np.nan])).tolist() == ["unknown", "unknown"]
    assert bands(np.array([3, 3, 4])).tolist() == ["3", "3", "4"]


def test_long_numbers_stay_apart() -> None:
    """The number of a device or a site is a name."""
    assert bands(np.array([1000001.0, 1000002.0, 1000001.0])).tolist() == ["1000001", "1000002", "1000001"]


@pytest.mark.parametrize("n", [9, 40, 101])
def test_many_numbers_are_four_bands_of_about_equal_size(n: int) -> None:
    ages = np.random.default_rng(n).permutation(np.arange(n) + 20.0)
    found = bands(ages)
    names, counts = np.unique(found, return_counts=True)
    assert len(names) == 4
    assert counts.max() - counts.min() <= 2
    for age, name in zip(ages, found, strict=True):
        low, high = map(float, name.split(" to "))
        assert low - 0.5 <= age <= high + 0.5  # names show six digits


def test_bands_of_numbers_that_are_mostly_equal() -> None:
    values = np.array([0.0] * 90 + list(range(1, 11)))
    found = bands(values)
    assert len(set(found[:90])) == 1
    assert set(found.tolist()) == {"0 to 10"}


def test_each_group_is_counted_over_its_own_images() -> None:
    labels, clean = [0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1]
    attacks = {("pgd", "linf"): {0.1: [0, 1, 1, 1, 1, 0], 0.2: [1, 1, 1, 1, 0, 0]}}
    records = make_records(labels, clean, attacks, meta={"sex": list("fmfmfm"), "site": ["A"] * 6})
    found = {(g["column"], g["value"]): g for g in groups(records, records.worst_case("linf"), ("benign", "mal"))}
    assert set(found) == {("class", "benign"), ("class", "mal"), ("sex", "f"), ("sex", "m")}
    benign, female = found["class", "benign"], found["sex", "f"]
    assert benign["num_images"] == 3
    assert benign["clean_accuracy"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert [r["value"] for r in benign["robust_accuracy"]] == pytest.approx([1 / 3, 0], abs=1e-6)
    assert [r["value"] for r in female["robust_accuracy"]] == pytest.approx([2 / 3, 0], abs=1e-6)
    assert [(r["epsilon"], r["norm"]) for r in female["robust_accuracy"]] == [(0.1, "linf"), (0.2, "linf")]


def test_what_was_broken_at_a_smaller_budget_counts_as_broken_in_each_group() -> None:
    records = make_records([0, 1], [0, 1], {("fgsm", "linf"): {0.1: [1, 1], 0.2: [0, 1]}})
    found = groups(records, records.curves("linf")[0], ("benign", "malignant"))
    assert [[r["value"] for r in g["robust_accuracy"]] for g in found] == [[0, 0], [1, 1]]


def test_columns_of_too_many_words_are_left_out() -> None:
    n = MOST_VALUES + 2
    meta = {"name": [f"p{i}" for i in range(n)], "half": ["a", "b"] * (n // 2), "age": [20.0 + i for i in range(n)]}
    records = make_records([0, 1] * (n // 2), [0, 1] * (n // 2), {("a", "linf"): {0.1: [0] * n}}, meta=meta)
    found = groups(records, records.worst_case("linf"), ("x", "y"))
    assert {g["column"] for g in found} == {"class", "half", "age"}
    assert sum(g["num_images"] for g in found if g["column"] == "age") == n


def test_missing_values_among_words_are_unknown_and_a_column_named_class_does_not_hide_the_classes() -> None:
    assert bands(np.array(["a", float("nan"), None], dtype=object)).tolist() == ["a", "unknown", "unknown"]
    records = make_records([0, 1], [0, 1], {("a", "linf"): {0.1: [0, 0]}}, meta={"class": ["x", "y"]})
    found = groups(records, records.worst_case("linf"), ("benign", "malignant"))
    assert [(g["column"], g["value"]) for g in found] == [
        ("class", "benign"), ("class", "malignant"), ("class (metadata)", "x"), ("class (metadata)", "y"),
    ]  # fmt: skip
