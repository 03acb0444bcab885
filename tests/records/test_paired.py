"""Paired differences and tests: equal to scipy and to formulas by hand, antisymmetric, and calibrated."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from medrobust.records import Grouping
from medrobust.records.paired import area_difference, difference, holm, sign_flip_p

ANSWERS = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 4)), min_size=1, max_size=12)


def columns(case: list[tuple[bool, bool, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a, b, groups = (np.array(column) for column in zip(*case, strict=True))
    return a, b, groups


@given(ANSWERS)
def test_the_test_of_single_images_is_the_exact_one_of_mcnemar(case: list[tuple[bool, bool, int]]) -> None:
    a, b, _ = columns(case)
    alone = Grouping(np.arange(len(a)))
    gained, lost = int((b & ~a).sum()), int((a & ~b).sum())
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert sign_flip_p(a, b, alone) == pytest.approx(expected)


@settings(max_examples=50)
@given(ANSWERS)
def test_the_test_of_groups_counts_all_exchanges(case: list[tuple[bool, bool, int]]) -> None:
    """Every way to exchange a and b in whole groups, counted one by one."""
    a, b, groups = columns(case)
    names = np.unique(groups)
    observed, larger = abs(int(b.sum()) - int(a.sum())), 0
    for signs in itertools.product([1, -1], repeat=len(names)):
        sign = dict(zip(names.tolist(), signs, strict=True))
        total = sum(sign[g] * (int(y) - int(x)) for x, y, g in zip(a, b, groups.tolist(), strict=True))
        larger += abs(total) >= observed
    assert sign_flip_p(a, b, Grouping(groups)) == pytest.approx(larger / 2 ** len(names))
    assert sign_flip_p(b, a, Grouping(groups)) == pytest.approx(sign_flip_p(a, b, Grouping(groups)))


def test_the_test_of_many_images_is_still_the_binomial_one() -> None:
    a, b = np.zeros(5000, bool), np.zeros(5000, bool)
    a[:1100], b[1100:2350] = True, True
    assert sign_flip_p(a, b, Grouping(np.arange(5000))) == pytest.approx(stats.binomtest(1100, 2350).pvalue, rel=1e-6)


def test_the_interval_of_single_images_is_the_adjusted_one_of_wald() -> None:
    """(f12 + .5, f21 + .5) / (n + 1), with the factor G / (G - 1) of n + 1 groups."""
    gained, lost, n = 30, 12, 200
    a, b = np.zeros(n, bool), np.zeros(n, bool)
    b[:gained], a[gained : gained + lost] = True, True
    p, q = (gained + 0.5) / (n + 1), (lost + 0.5) / (n + 1)
    half = 1.959963984540054 * math.sqrt((p + q - (p - q) ** 2) / n)
    found = difference(a, b, Grouping(np.arange(n)))
    assert found.value == (gained - lost) / n
    assert (found.low, found.high) == pytest.approx((p - q - half, p - q + half))


@given(ANSWERS)
def test_the_other_order_is_the_other_sign_and_no_interval_is_empty(case: list[tuple[bool, bool, int]]) -> None:
    a, b, groups = columns(case)
    one, other = difference(a, b, Grouping(groups)), difference(b, a, Grouping(groups))
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert one.low <= one.value <= one.high
    assert one.high - one.low > 0.1
    assert difference(a, a, Grouping(groups)).value == 0
    assert sign_flip_p(a, a, Grouping(groups)) == 1


def test_images_of_none_have_no_difference() -> None:
    none = np.zeros(3, bool)
    assert math.isnan(difference(none, none, Grouping(np.arange(3)), none).value)
    assert math.isnan(sign_flip_p(none, none, Grouping(np.arange(3)), none))


def area(truth: np.ndarray, score: np.ndarray) -> float:
    """By the sum of ranks (Mann and Whitney)."""
    num = int(truth.sum())
    return float((stats.rankdata(score)[truth].sum() - num * (num + 1) / 2) / (num * (len(truth) - num)))


def test_closed_forms_equal_a_bootstrap_of_groups() -> None:
    """120 patients of 1 to 4 images: 1,500 draws of patients, both classifiers together."""
    rng = np.random.default_rng(5)
    patient = np.repeat(np.arange(120), rng.integers(1, 5, 120))
    n, labels = len(patient), (patient % 2).astype(bool)
    shared = rng.normal(size=120)[patient]
    scores = [1.2 * labels + 0.7 * shared + 0.7 * rng.normal(size=n) for _ in range(2)]
    scores[1] += 0.3 * labels
    right = [(score > 0.6) == labels for score in scores]
    of = [np.flatnonzero(patient == p) for p in range(120)]
    shares, areas = [], []
    for _ in range(1500):
        drawn = np.concatenate([of[p] for p in rng.integers(0, 120, 120)])
        shares.append(right[1][drawn].mean() - right[0][drawn].mean())
        areas.append(area(labels[drawn], scores[1][drawn]) - area(labels[drawn], scores[0][drawn]))
    grouping = Grouping(patient)
    by_area = area_difference(labels, *scores, grouping)
    assert by_area is not None
    for found, draws in ((difference(*right, grouping), shares), (by_area[0], areas)):
        low, high = np.quantile(draws, [0.025, 0.975])
        assert found.low == pytest.approx(low, abs=0.012)
        assert found.high == pytest.approx(high, abs=0.012)


def test_the_difference_of_areas_is_that_of_delong() -> None:
    """The covariance of placements, written out pair by pair."""
    rng = np.random.default_rng(6)
    truth = np.arange(60) < 25
    a, b = (truth + rng.normal(size=60) for _ in range(2))
    found = area_difference(truth, a, b, Grouping(np.arange(60)))
    assert found is not None
    wins = [(s[truth][:, None] > s[~truth][None]).astype(float) for s in (a, b)]
    gap = wins[1] - wins[0]
    expected = gap.mean(1).var(ddof=0) / 25 + gap.mean(0).var(ddof=0) / 35
    value = sk.roc_auc_score(truth, b) - sk.roc_auc_score(truth, a)
    assert found[0].value == pytest.approx(value)
    assert found[1] == pytest.approx(2 * stats.norm.sf(abs(value) / math.sqrt(expected * 60 / 59)))
    other = area_difference(truth, b, a, Grouping(np.arange(60)))
    assert other is not None
    assert (other[0].value, other[0].low, other[1]) == pytest.approx((-value, -found[0].high, found[1]))
    assert area_difference(truth, a, a, Grouping(np.arange(60)))[1] == 1.0  # type: ignore[index]
    assert area_difference(truth | True, a, b, Grouping(np.arange(60))) is None


def test_holm_equals_its_definition() -> None:
    p = [0.02, 0.5, 0.01, 0.04, math.nan]
    # Ordered .01, .02, .04, .5 times 4, 3, 2, 1, never falling.
    assert holm(p) == pytest.approx([0.06, 0.5, 0.04, 0.08, math.nan], nan_ok=True)
    assert holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
