"""Named hypotheses of kind better and equal: tests equal to closed forms, and what is refused."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from scipy import stats

from medrobust.errors import UserError
from medrobust.records.intervals import Grouping
from medrobust.records.paired import equivalence
from medrobust.study.hypotheses import CONTRADICTED, HOLDS, NOT_RUN, NOT_SHOWN, judge
from medrobust.study.read import Job

from .make_outcomes import (
    BETTER,
    both,
    condition,
    first,
    of,
    outcome,
    study,
    two,
)

# better


def test_better_is_mcnemars_exact_test() -> None:
    old = first(41)
    new = np.roll(first(63), 20)
    found = of(two(old, new))
    only_new, only_old = int((new & ~old).sum()), int((old & ~new).sum())
    assert found.p == pytest.approx(stats.binomtest(only_old, only_old + only_new).pvalue)
    assert found.effect == pytest.approx(0.22)
    assert found.verdict == HOLDS
    assert found.num_pairs == 1
    assert "new reads 63 of 100 images correctly against 41 of old: +22.0 points [" in found.words
    assert "one training each, another may differ" in found.words
    assert found.low < 0.22 < found.high


def test_the_other_way_round_is_contradicted_and_the_same_is_not_shown() -> None:
    old, new = first(41), np.roll(first(63), 20)
    assert of(two(new, old)).verdict == CONTRADICTED
    same = of(two(old, old))
    assert (same.verdict, same.effect, same.p) == (NOT_SHOWN, 0.0, 1.0)
    assert "would have been found in 8 of 10" in same.power_words


def test_both_protocols_are_judged_by_their_own_attack() -> None:
    old, new = first(41), np.roll(first(63), 20)
    cells = [
        outcome({"training": "old"}, [condition(old, "pgd", 1 / 255)], 100, protocol="paper"),
        outcome({"training": "new"}, [condition(new, "pgd", 1 / 255)], 100, protocol="paper"),
        outcome({"training": "old"}, [condition(old, "worst", 1 / 255)], 100),
        outcome({"training": "new"}, [condition(old, "worst", 1 / 255)], 100),
    ]
    paper, honest = judge(study(cells, [BETTER]))
    assert (paper.protocol, paper.verdict, honest.protocol, honest.verdict) == ("paper", HOLDS, "honest", NOT_SHOWN)
    assert paper.words.startswith("Under pgd at linf 1/255, new reads 63 of 100")
    assert honest.words.startswith("Under the worst case at")


def test_where_nothing_is_left_to_tell_apart_it_is_said() -> None:
    assert "none withstands this budget" in of(two(first(0), first(1))).words
    assert "withstand" not in of(two(first(40), first(41))).words


def test_the_norm_that_was_measured_is_said_where_none_is_named() -> None:
    found = of(two(first(40), first(60), BETTER | {"where": {"attack": "fgsm", "epsilon": "1/255"}}))
    assert found.words.startswith("Under the worst case at linf 1/255")


def test_images_are_paired_by_name_and_not_by_place() -> None:
    old, new = first(41), np.roll(first(63), 20)
    order = np.random.default_rng(3).permutation(50) * 2
    order = np.stack([order, order + 1], 1).ravel()  # labels stay with their parity
    names = [f"image-{i:04d}" for i in order]
    cells = [
        outcome({"training": "old"}, [condition(old, "worst", 1 / 255)], 100),
        outcome({"training": "new"}, [condition(new[order], "worst", 1 / 255)], 100, names=names),
    ]
    assert of(study(cells, [BETTER])).p == pytest.approx(of(two(old, new)).p)


def test_groups_that_repeat_are_flipped_together() -> None:
    # 12 patients of 10 images: in 9 the new one gains all images, in 3 it loses all.
    groups = [f"patient {i // 10}" for i in range(120)]
    new = np.repeat(np.arange(12) < 9, 10)
    found = of(two(~new, new, groups=groups))
    assert found.p == pytest.approx(stats.binomtest(3, 12).pvalue)
    assert found.verdict == NOT_SHOWN
    alone = of(two(~new, new))
    assert alone.verdict == HOLDS
    assert alone.p < 1e-4


def test_an_image_that_several_networks_read_is_one_image() -> None:
    old, new = first(50, 60), np.roll(first(54, 60), 3)
    once = of(two(old, new))
    cells = []
    for model in "abcd":
        cells += [*both({"model": model, "training": "old"}, old), *both({"model": model, "training": "new"}, new)]
    four = of(study(cells, [BETTER]))
    assert four.num_pairs == 4
    assert four.p == pytest.approx(once.p)
    assert (four.low, four.high) == pytest.approx((once.low, once.high))
    assert "better for new in 4 of 4 pairs" in four.words


def test_holm_over_the_others_and_the_weakest_decides() -> None:
    n = 100
    cells = [*both({"training": "new"}, np.roll(first(63), 20))]
    for name, right in {"old": first(41), "mid": np.roll(first(50), 20), "same": np.roll(first(62), 20)}.items():
        cells += both({"training": name}, right)
    given = BETTER | {"than": [{"training": "old"}, {"training": "mid"}, {"training": "same"}]}
    found = of(study(cells, [given]))
    raw = [
        stats.binomtest(
            int((right & ~np.roll(first(63), 20)).sum()), int((right ^ np.roll(first(63), 20)).sum())
        ).pvalue
        for right in (first(41, n), np.roll(first(50), 20), np.roll(first(62), 20))
    ]
    ordered = sorted(raw)
    expected = {p: min(1.0, max((3 - k) * q for k, q in enumerate(ordered) if q <= p)) for p in raw}
    assert [part.p for part in found.parts] == pytest.approx([expected[p] for p in raw])
    assert [part.verdict for part in found.parts] == [HOLDS, HOLDS, NOT_SHOWN]
    assert found.verdict == NOT_SHOWN
    assert found.effect == pytest.approx(0.01)
    assert "alpha .05 / 3" in found.power_words


def test_sensitivity_counts_the_positive_images_alone() -> None:
    n = 200
    positive = np.arange(n) % 2 == 1
    old, new = ~positive | first(60, n), ~positive | first(120, n)
    found = of(two(old, new, BETTER | {"metric": "sensitivity"}))
    assert found.effect == pytest.approx(0.3)  # 30 and 60 of 100 positive images
    assert found.p == pytest.approx(stats.binomtest(0, 30).pvalue)
    assert "60 of 100 positive images" in found.words
    assert of(two(old, new, BETTER | {"metric": "specificity"})).effect == 0


def test_other_metrics_are_compared_over_cells_by_a_t_test() -> None:
    olds, news = [0.70, 0.72, 0.69, 0.75], [0.76, 0.77, 0.71, 0.83]
    cells = []
    for split, values in enumerate(zip(olds, news, strict=True)):
        for name, value in zip(("old", "new"), values, strict=True):
            found = condition(first(50), "worst", 1 / 255, f1=value)
            cells.append(outcome({"training": name, "split": str(split)}, [found], 100))
    found = of(study(cells, [BETTER | {"metric": "f1"}]))
    expected = stats.ttest_rel(news, olds)
    assert found.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.verdict == HOLDS
    assert "not over images" in found.words
    alone = of(study(cells[:2], [BETTER | {"metric": "f1"}]))
    assert alone.verdict == NOT_SHOWN
    assert math.isnan(alone.p)
    assert "one pair allows no test" in alone.words


def test_missing_cells_are_left_out_and_counted() -> None:
    old, new = first(41), np.roll(first(63), 20)
    cells = [*both({"training": "old", "split": "0"}, old), *both({"training": "new", "split": "0"}, new)]
    found = of(study([*cells, *both({"training": "old", "split": "1"}, old)], [BETTER]))
    assert (found.num_pairs, found.verdict) == (1, HOLDS)
    assert "1 pair of cells lacks a side" in found.words


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"axes": {"training": ("old",)}, "all_axes": {"training": ("old", "new")}}, "leaves out training new"),
        ({"jobs": (Job({"training": "new"}, "honest", "", "", "the data are not public"),)}, "the data are not public"),
        ({"failed": ((Job({"training": "new"}, "honest", "t", "a"), "out of memory"),)}, "out of memory"),
        ({}, "are not done"),
    ],
)
def test_what_was_not_run_says_why(changes: dict[str, Any], why: str) -> None:
    cells = both({"training": "old"}, first(41))
    failed = changes.get("failed", ())
    base = {
        "axes": {"training": ("old", "new")},
        "all_axes": {"training": ("old", "new")},
        "jobs": tuple(job for job, _ in failed) or (Job({"training": "new"}, "honest", "t", "a"),),
    }
    found = of(study(cells, [BETTER], **{**base, **changes}))
    assert found.verdict == NOT_RUN
    assert why in found.words
    assert math.isnan(found.effect)


def test_a_budget_that_was_not_measured_is_not_run() -> None:
    found = of(two(first(40), first(60), BETTER | {"where": {"attack": "pgd", "epsilon": "2/255"}}))
    assert found.verdict == NOT_RUN
    assert "was not measured" in found.words


@pytest.mark.parametrize(
    ("given", "place", "advice"),
    [
        (BETTER | {"where": {"trainng": "old"}}, "hypotheses.new-is-better.where.trainng", "training"),
        (BETTER | {"better": {"training": "newer"}}, "hypotheses.new-is-better.better.training", "new"),
        (BETTER | {"kind": "bettr"}, "hypotheses.new-is-better.kind", "better"),
        ({"name": "x", "kind": "rank", "axis": "training"}, "hypotheses.x", "order"),
        ({"name": "x", "kind": "referral", "fraction": 1.5}, "hypotheses.x.fraction", "between 0 and 1"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_one_line(given: dict[str, Any], place: str, advice: str) -> None:
    with pytest.raises(UserError) as error:
        judge(two(first(40), first(60), given))
    assert str(error.value).startswith(place)
    assert advice in str(error.value)


def test_one_image_with_two_labels_is_refused() -> None:
    cells = both({"training": "old"}, first(41)) + both({"training": "new"}, first(60))
    cells[-1].result["labels"][3] = 0  # type: ignore[index]
    with pytest.raises(UserError, match="two labels"):
        judge(study(cells, [BETTER]))


def test_different_images_are_compared_without_pairs() -> None:
    cells = [
        outcome({"data": "ct"}, [condition(first(56, 70), "worst", 1 / 255)], 70),
        outcome(
            {"data": "photos"}, [condition(first(48, 80), "worst", 1 / 255)], 80, names=[f"p{i}" for i in range(80)]
        ),
    ]
    given = BETTER | {"better": {"data": "ct"}, "than": [{"data": "photos"}]}
    found = of(study(cells, [given]))
    assert found.p == pytest.approx(stats.fisher_exact([[56, 14], [48, 32]]).pvalue)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)  # Newcombe 1998, Table II (a)
    assert found.verdict == HOLDS
    assert "ct reads 56 of 70 of its images correctly against 48 of 80 of photos" in found.words
    for one in cells:  # pairs of images: half as many patients
        one.result["groups"] = [f"{one.axes['data']} {i // 2}" for i in range(one.result["num_images"])]  # type: ignore[index]
    clustered = of(study(cells, [given]))
    assert clustered.p > found.p
    assert clustered.low < found.low


# equal


def test_equality_is_two_one_sided_tests() -> None:
    n = 4000
    rng = np.random.default_rng(0)
    a = rng.random(n) < 0.8
    b = a ^ (rng.random(n) < 0.05)
    d = b.astype(float) - a
    error = d.std(ddof=1) / math.sqrt(n)
    normal = max(NormalDist().cdf((d.mean() - 0.03) / error), NormalDist().cdf((-0.03 - d.mean()) / error))
    found, p = equivalence(a, b, Grouping(np.arange(n)), 0.03)
    assert p == pytest.approx(normal, rel=0.1)
    assert (found.low, found.high) == pytest.approx((d.mean() - 1.645 * error, d.mean() + 1.645 * error), abs=5e-4)
    assert (p < 0.05) == (found.low > -0.03 and found.high < 0.03)
    with pytest.raises(ValueError, match="margin"):
        equivalence(a, b, Grouping(np.arange(n)), 0.0)


def test_equal_is_not_the_same_as_not_different() -> None:
    given = BETTER | {"kind": "equal", "margin": 0.03}
    few, many = np.roll(first(32, 40), 1), np.roll(first(1600, 2000), 1)
    assert of(two(first(32, 40), few, given)).verdict == NOT_SHOWN
    same = of(two(first(1600, 2000), many, given))
    assert same.verdict == HOLDS
    assert "a difference below 3.0 points counts as none" in same.words
    assert of(two(first(1600, 2000), first(1200, 2000), given)).verdict == CONTRADICTED
    assert "equality within" in same.power_words
