"""Two runs on the same images: what is paired, what is refused, what limits say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from medrobust.errors import UserError
from medrobust.records import Records
from medrobust.records.compare import as_dicts, compare_rows, judge, verdict
from medrobust.records.intervals import Estimate
from medrobust.records.limits import Limit, limits_of
from records.tables import make_records

LABELS = [0] * 30 + [1] * 30


def run(seed: int, budgets: tuple[float, ...] = (0.1, 0.2), **more: Any) -> Records:
    rng = np.random.default_rng(seed)
    clean = [int(rng.random() < 0.2) ^ label for label in LABELS]
    made, last = {}, clean
    for e in budgets:
        last = [int(rng.random() < 0.3) ^ answer for answer in last]
        made[e] = last
    confidence = rng.uniform(0.51, 0.99, 60).tolist()
    return make_records(LABELS, clean, {("a", "linf"): made}, confidence=confidence, **more)


def test_a_run_against_itself_differs_in_nothing() -> None:
    rows = compare_rows(run(0), run(0), positive=1)
    assert {(row.metric, row.norm, row.epsilon) for row in rows} == {
        (metric, norm, e)
        for metric in ("accuracy", "sensitivity", "specificity", "auroc")
        for norm, e in ((None, 0.0), ("linf", 0.1), ("linf", 0.2))
    }
    for row in rows:
        assert (row.change.value, row.p) == (0.0, 1.0)
        assert row.change.low < 0 < row.change.high


def test_the_order_of_runs_is_the_sign_and_that_of_images_does_not_count() -> None:
    a, b = run(0), run(1)
    order = np.random.default_rng(3).permutation(len(b))
    mixed = Records({name: column[order] for name, column in b.columns.items()})
    for one, same, other in zip(
        compare_rows(a, b, positive=1), compare_rows(a, mixed, positive=1), compare_rows(b, a, positive=1), strict=True
    ):
        assert same == one
        assert (other.a, other.b, other.only_a, other.only_b) == (one.b, one.a, one.only_b, one.only_a)
        assert other.change.value == pytest.approx(-one.change.value)
        assert (other.change.low, other.change.high) == pytest.approx((-one.change.high, -one.change.low))
        assert other.p == pytest.approx(one.p)


def test_numbers_are_those_of_each_run_and_the_test_is_that_of_mcnemar() -> None:
    a, b = run(0), run(1)
    rows = {(row.metric, row.epsilon): row for row in compare_rows(a, b, positive=1)}
    for column, epsilon in enumerate((0.1, 0.2)):
        right = [r.worst_case("linf").counted[:, column] for r in (a, b)]
        row = rows["accuracy", epsilon]
        assert (row.a, row.b) == tuple(r.worst_case("linf").estimates()[column] for r in (a, b))
        assert row.change.value == pytest.approx(right[1].mean() - right[0].mean())
        gained, lost = int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())
        assert (row.only_b, row.only_a) == (gained, lost)
        assert row.p == pytest.approx(stats.binomtest(gained, gained + lost).pvalue)
    sensitivity = rows["sensitivity", 0.0]
    assert sensitivity.a.value == pytest.approx((a.clean["clean_prediction"][30:] == 1).mean())
    corrected = {(row["metric"], row["epsilon"]): row for row in as_dicts(compare_rows(a, b, positive=1))}
    ordered = sorted(rows["accuracy", e].p for e in (0.0, 0.1, 0.2))
    smallest = next(e for e in (0.0, 0.1, 0.2) if rows["accuracy", e].p == ordered[0])
    assert corrected["accuracy", smallest]["p_holm"] == pytest.approx(min(1, 3 * ordered[0]))


def test_budgets_of_one_run_only_are_refused_unless_the_common_ones_are_wanted() -> None:
    a, b = run(0), run(0, (0.1, 0.3))
    with pytest.raises(UserError, match="measured in one run only"):
        compare_rows(a, b, positive=1)
    assert {row.epsilon for row in compare_rows(a, b, positive=1, common=True)} == {0.0, 0.1}
    with pytest.raises(UserError, match="no budget in common"):
        compare_rows(a, run(0, (0.4,)), positive=1, common=True)


def test_what_is_not_the_same_set_is_refused() -> None:
    a = run(0)
    fewer = make_records(LABELS[:59], LABELS[:59], {("a", "linf"): {0.1: LABELS[:59], 0.2: LABELS[:59]}})
    other = make_records([1, *LABELS[1:]], LABELS, {("a", "linf"): {0.1: LABELS, 0.2: LABELS}})
    for b, words in (
        (fewer, "1 images are in one run only, 'i59'"),
        (other, "the labels of 1 images differ, of 'i0'"),
        (run(0, groups=["p"] * 60), "the groups of 60 images differ"),
        (run(0, protocol="paper"), "honest, the other paper"),
    ):
        with pytest.raises(UserError, match=words):
            compare_rows(a, b, positive=1)


def test_several_classes_without_a_positive_one_have_accuracy_and_areas_without_a_test() -> None:
    labels = [0, 1, 2] * 10
    records = make_records(labels, labels, {("a", "linf"): {0.1: labels}}, num_classes=3)
    rows = compare_rows(records, records, positive=None)
    assert [row.metric for row in rows] == ["accuracy", "auroc"] * 2
    assert rows[1].a.value == 1.0
    assert math.isnan(rows[1].p)


@pytest.mark.parametrize(
    ("found", "low", "high", "expected"),
    [("at_least", 0.81, 0.9, "met"), ("at_least", 0.7, 0.79, "not met"), ("at_least", 0.7, 0.9, "undecided")],
)
def test_a_limit_is_met_by_the_whole_interval(found: str, low: float, high: float, expected: str) -> None:
    middle, nothing = Estimate((low + high) / 2, low, high), Estimate(0.0, -1.0, 1.0)
    assert Limit("accuracy", at_least=0.8).judge(middle, nothing) == expected
    # The same interval as a change, 0.8 lower, and a margin of nothing.
    change = Estimate(middle.value - 0.8, low - 0.8, high - 0.8)
    assert Limit("accuracy", no_worse_than=0.0).judge(nothing, change) == expected
    assert Limit("accuracy", no_worse_than=0.2).judge(nothing, change) == "met"


def test_limits_are_judged_by_their_rows() -> None:
    rows = compare_rows(run(0), run(0), positive=1)
    given = [
        {"metric": "robust_accuracy", "norm": "linf", "epsilon": 0.1, "no_worse_than": 0.2},
        {"metric": "accuracy", "at_least": 0.99},
        {"metric": "auroc", "norm": "linf", "epsilon": "20%", "at_least": 0.001},
    ]
    found = judge(rows, limits_of(given))
    assert [one["verdict"] for one in found] == ["met", "not met", "met"]
    assert found[0]["judged"]["value"] == 0.0
    assert found[1]["judged"]["value"] == rows[0].b.as_dict()["value"]
    assert verdict(found) == "not met"
    assert verdict([found[0], {"verdict": "undecided"}]) == "undecided"
    assert (verdict(found[:1]), verdict([])) == ("met", None)
    with pytest.raises(UserError, match="was not compared"):
        judge(rows, [Limit("accuracy", "l2", 0.1, at_least=0.5)])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "is not a list"),
        ([], "is not a list"),
        (["accuracy"], r"limits\[0\]: 'accuracy' is not a mapping"),
        ([{"metric": "accuracy", "atleast": 1}], r"limits\[0\]\.atleast: unknown key. Did you mean 'at_least'"),
        ([{"metric": "acuracy", "at_least": 1}], "Did you mean 'accuracy'"),
        ([{"metric": "accuracy"}], "needs one of at_least and no_worse_than"),
        ([{"metric": "accuracy", "at_least": 1, "no_worse_than": 0}], "needs one of"),
        ([{"metric": "accuracy", "at_least": 1, "norm": "linf"}], "a norm and an epsilon"),
        ([{"metric": "robust_accuracy", "at_least": 1}], "a norm and an epsilon"),
        ([{"metric": "accuracy", "at_least": 90}], "90 cannot be"),
        ([{"metric": "accuracy", "no_worse_than": -0.1}], "cannot be"),
        ([{"metric": "accuracy", "at_least": "high"}], "is not a number"),
    ],
)
def test_what_is_no_limit_is_refused(given: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        limits_of(given)
