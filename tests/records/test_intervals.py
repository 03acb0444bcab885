"""No interval has zero width, each holds its value, and 95 of 100 hold the truth."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from medrobust.auditing.summary import summarize
from medrobust.measuring.outcome import Grid
from medrobust.records import Grouping, clean_metrics, wilson
from medrobust.records.intervals import Estimate, area_interval, mean_of, share
from records.tables import answers, make_records

Z = 1.959963984540054


def perfect(num_groups: int) -> float:
    """The lower end of Wilson's interval of n of n: 1 / (1 + z^2 / n)."""
    return 1 / (1 + Z * Z / num_groups)


def test_perfect_metrics_of_patients_with_two_images_each() -> None:
    """Ten patients, five of each class, all right: the share of patients is what is known."""
    labels = np.repeat([0, 1], 10)
    scores = np.where(np.eye(2)[labels] > 0, 0.99, 0.01)
    found = clean_metrics(labels, labels, scores, Grouping(np.array([f"p{i // 2}" for i in range(20)])))
    assert {name: e.value for name, e in found.items()} == dict.fromkeys(found, 1.0)
    assert {name: e.high for name, e in found.items()} == dict.fromkeys(found, 1.0)
    assert found["accuracy"].low == pytest.approx(0.722, abs=5e-4)
    for name in ("sensitivity", "specificity", "precision"):
        assert found[name].low == pytest.approx(0.566, abs=5e-4) == pytest.approx(perfect(5), abs=5e-4), name
    # Both classes lie below by the same distance: their mean by that over the root of two.
    assert found["balanced_accuracy"].low == pytest.approx(1 - (1 - perfect(5)) / math.sqrt(2))
    assert found["f1"].low == pytest.approx(2 * perfect(5) / (1 + perfect(5)))
    assert 0.5 < found["auroc"].low < 0.7


def test_metrics_of_nothing_right_have_an_upper_end() -> None:
    labels = np.repeat([0, 1], 10)
    found = clean_metrics(labels, 1 - labels, np.eye(2)[1 - labels], Grouping(np.arange(20) // 2))
    assert {name: (e.value, e.low) for name, e in found.items()} == dict.fromkeys(found, (0.0, 0.0))
    assert found["sensitivity"].high == pytest.approx(1 - perfect(5))
    assert found["auroc"].high == pytest.approx(1 - area_interval(1.0, 5, 5).low)
    assert all(e.high > 0.2 for e in found.values())


def test_a_perfect_class_of_five_patients_is_not_known_better_because_the_other_class_errs() -> None:
    labels = np.repeat([0, 1], 10)
    predictions = labels.copy()
    predictions[:3] = 1
    found = clean_metrics(labels, predictions, np.eye(2)[predictions], Grouping(np.arange(20) // 2))
    assert (found["sensitivity"].low, found["sensitivity"].high) == (pytest.approx(0.566, abs=5e-4), 1.0)
    assert found["balanced_accuracy"].low < found["balanced_accuracy"].value - (1 - perfect(5)) / 2


@pytest.mark.parametrize("wrong", [1, 2])
def test_one_group_that_differs_does_not_narrow_the_interval(wrong: int) -> None:
    """Twenty patients of two images, and one or both images of one wrong: at most as sure as forty images would be."""
    right = np.ones(40, dtype=bool)
    right[:wrong] = False
    found = Grouping(np.arange(40) // 2).mean(right)
    alone, groups = wilson(40 - wrong, 40), wilson((40 - wrong) / 2, 20)
    assert groups.low - 0.03 <= found.low < alone.low - 0.02
    assert alone.high < found.high <= groups.high + 0.01


def test_all_images_of_a_group_alike_count_as_one_and_groups_of_one_are_images() -> None:
    right = np.arange(60) % 4 > 0
    copies = share(5 * right.astype(int), np.full(60, 5))
    assert copies.value == 0.75
    assert copies.low == pytest.approx(wilson(45, 60).low, abs=0.003)
    assert share(right.astype(int), np.ones(60, dtype=int)) == wilson(45, 60)
    assert Grouping(np.array([None, "", float("nan"), "a", "a"], dtype=object)).num_groups == 4


@pytest.mark.parametrize(("area", "m", "n"), [(1.0, 10, 10), (0.9, 5, 40), (0.5, 30, 20), (0.0, 3, 4), (1.0, 1, 1)])
def test_areas_are_bounded_where_the_published_score_equation_holds(area: float, m: int, n: int) -> None:
    """Newcombe 2006: the roots of |A - area| = z sd(A), found by another solver."""

    def equation(a: float) -> float:
        mean = (m + n) / 2 - 1
        variance = a * (1 - a) / (m * n) * (1 + mean * (1 - a) / (2 - a) + mean * a / (1 + a))
        return abs(a - area) - Z * math.sqrt(variance)

    found = area_interval(area, m, n)
    tiny = 1e-12
    low = brentq(equation, tiny, area - tiny) if area > 0 else 0.0
    high = brentq(equation, area + tiny, 1 - tiny) if area < 1 else 1.0
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
    assert found.low <= area <= found.high


def test_distances_of_a_mean_add_up_with_correlation_and_their_squares_without() -> None:
    parts = [Estimate(0.9, 0.7, 1.0), Estimate(0.8, 0.6, 0.9)]
    touched = np.ones((4, 2), dtype=bool)
    alone = mean_of(parts, np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]]), touched)
    assert (alone.low, alone.high) == pytest.approx((0.85 - 0.1 * math.sqrt(2), 0.85 + 0.05 * math.sqrt(2)))
    together = mean_of(parts, np.array([[1.0, 1], [-1, -1], [0, 0], [0, 0]]), touched)
    assert (together.low, together.high) == pytest.approx((0.65, 0.95))
    assert mean_of(parts, np.zeros((4, 2)), touched) == pytest.approx(together)
    assert mean_of(parts, np.zeros((4, 2)), np.eye(4, 2) > 0) == pytest.approx(alone)


def intervals(part: Any, where: str = "") -> Iterator[tuple[str, dict[str, float | None]]]:
    """Every {value, low, high} of audit.json, and the way to it."""
    if isinstance(part, dict):
        if "low" in part:
            yield where, part
        for name, value in part.items():
            yield from intervals(value, f"{where}.{name}")
    elif isinstance(part, list):
        for i, value in enumerate(part):
            yield from intervals(value, f"{where}[{i}]")


@settings(max_examples=25)
@given(
    answers(), st.lists(st.sampled_from(["p", "q", "r"]), min_size=5, max_size=5), st.sampled_from([2, 3]), st.data()
)
def test_no_interval_of_an_audit_has_zero_width(
    case: dict[str, Any], groups: list[str], num_classes: int, data: st.DataObject
) -> None:
    """Any rows, any groups. What is null is not defined; what is not null was counted over images, and could vary."""
    case = {**case, "num_classes": num_classes}
    for name in ("labels", "clean"):
        case[name] = [value % num_classes for value in case[name]]
    case["attacks"] = {
        cell: {e: [value % num_classes for value in found] for e, found in by_budget.items()}
        for cell, by_budget in case["attacks"].items()
    }
    n = len(case["labels"])
    confidence = data.draw(st.lists(st.sampled_from([0.6, 0.9, 1.0]), min_size=n, max_size=n))
    protocol = data.draw(st.sampled_from(["honest", "paper"]))
    records = make_records(
        **case, groups=groups[:n], confidence=confidence, protocol=protocol, meta={"sex": groups[:n]}
    )
    grids = tuple(Grid(norm, tuple(records.worst_case(norm).epsilons.tolist())) for norm in records.norms)
    classes = ("a", "b", "c")[:num_classes]
    found = dict(intervals(summarize(records, classes=classes, positive=None, grids=grids, resolutions=[1 / 255])))
    assert ".clean.accuracy" in found
    assert any(name.startswith(".worst_case") for name in found)
    for name, e in found.items():
        if e["value"] is None:
            undefined = (".clean", ".under_attack", ".per_class", ".groups", ".harm", ".referral")
            assert name.startswith(undefined), name
            assert (e["low"], e["high"]) == (None, None), name
            continue
        least = -1 if name.endswith("difference") or ".gain_over" in name else 0
        assert least <= e["low"] <= e["value"] <= e["high"] <= 1, name
        # At most five images; an area is a mean over all shares referred, and its gain varies less.
        assert e["high"] - e["low"] > (0.02 if ".referral_area" in name else 0.1), name


@pytest.mark.parametrize("num_groups", [20, 100])
@pytest.mark.parametrize(("largest", "alike"), [(1, 0.0), (2, 0.5), (6, 0.3), (6, 0.9)])
def test_95_of_100_intervals_hold_the_truth(num_groups: int, largest: int, alike: float) -> None:
    """Groups of 1 to `largest` images whose answers correlate by `alike`, at rates from .5 to .99."""
    rng, covered = np.random.default_rng(20), []
    for rate in (0.5, 0.7, 0.8, 0.9, 0.95, 0.99):
        for _ in range(150):
            sizes = rng.integers(1, largest + 1, num_groups)
            scale = (1 - alike) / alike if alike else 1e9
            right = rng.binomial(sizes, rng.beta(rate * scale, (1 - rate) * scale, num_groups))
            found = share(right, sizes)
            covered.append(found.low <= rate <= found.high)
    assert 0.93 <= np.mean(covered) <= 0.975


def test_most_intervals_of_the_other_metrics_hold_the_truth() -> None:
    """Two normal distributions 2.5 apart, thirty patients of three images; the truth by formula."""
    rng, covered = np.random.default_rng(0), []
    right = 0.5 * (1 + math.erf(1.25 / math.sqrt(2)))
    truth = {"balanced_accuracy": right, "f1": right, "auroc": 0.5 * (1 + math.erf(1.25))}
    for _ in range(150):
        patient = np.arange(90) // 3
        labels = patient % 2
        x = 0.8 * rng.normal(size=30)[patient] + 0.6 * rng.normal(size=90) + 2.5 * (labels - 0.5)
        p = 1 / (1 + np.exp(-x))
        found = clean_metrics(labels, (x > 0).astype(int), np.stack([1 - p, p], 1), Grouping(patient))
        covered.append([found[name].low <= value <= found[name].high for name, value in truth.items()])
    assert (np.mean(covered, 0) >= 0.91).all()
    assert (np.mean(covered, 0) <= 0.995).all()
