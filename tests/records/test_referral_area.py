"""Referral by four ways, its area and its sensitivity: equal to plain loops, and to a bootstrap of patients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrobust.records.intervals import Z
from medrobust.records.referral import Answers, entropy, orders, referral
from medrobust.records.referral_area import area, referral_areas

CASES = st.integers(0, 2**20)


def case(seed: int, n: int = 24, k: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities that often know them, and the smallest budget that flips each."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    logits = rng.normal(size=(n, k)) + 1.0 * np.eye(k)[labels]
    scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return labels, scores, rng.choice([0.1, 0.2, 0.3, np.inf], n)


@given(CASES)
def test_the_area_is_the_mean_over_every_number_of_images_kept(seed: int) -> None:
    labels, scores, flip = case(seed)
    wrong = scores.argmax(1) != labels
    for order in orders(flip, scores.max(1), scores).values():
        risks = []
        for kept in range(1, len(wrong) + 1):
            last = order.tolist()[len(wrong) - kept :]
            risks.append(sum(bool(wrong[i]) for i in last) / kept)
        found = area(wrong, order)
        assert found.value == pytest.approx(sum(risks) / len(risks))
        assert found.influence.sum() == pytest.approx(0, abs=1e-9)


def test_the_ways_to_choose_are_those_of_a_loop() -> None:
    _, scores, flip = case(3)
    found = orders(flip, scores.max(1), scores)
    by = [-sum(p * math.log(p) for p in row) for row in scores.tolist()]
    assert entropy(scores).tolist() == pytest.approx(by)
    assert found["entropy"].tolist() == sorted(range(24), key=lambda i: -by[i])
    assert found["smallest_change"].tolist() == sorted(range(24), key=lambda i: (flip[i], scores[i].max()))
    assert found["confidence"].tolist() == sorted(range(24), key=lambda i: scores[i].max())


@pytest.mark.parametrize("k", [2, 3])
def test_accuracy_and_sensitivity_are_of_those_kept(k: int) -> None:
    labels, scores, flip = case(5, 40, k)
    predictions = scores.argmax(1)
    answers = Answers(labels, predictions, scores, 0)
    rows = referral(predictions == labels, flip, scores.max(1), (0.0, 0.25), None, answers)
    for row in rows:
        ways = orders(flip, scores.max(1), scores) | {"random": np.arange(40)}
        for way, order in ways.items():
            kept = order.tolist()[0 if way == "random" else row["num_referred"] :]
            recalls = [
                sum(predictions[i] == labels[i] for i in kept if labels[i] == c) / sum(labels[i] == c for i in kept)
                for c in range(k)
            ]
            wanted = recalls[0] if k == 2 else sum(recalls) / k
            assert row["sensitivity"][way]["value"] == pytest.approx(wanted, abs=1e-6)
        kept = ways["entropy"][row["num_referred"] :]
        assert row["entropy"] == pytest.approx((predictions == labels)[kept].mean(), abs=1e-6)
        assert set(row["intervals"]) == {"accuracy", "baseline_confidence", "entropy", "random"}


def test_intervals_are_as_wide_as_those_of_a_bootstrap_of_patients() -> None:
    """Whole patients drawn again 3000 times; their spread against that of the closed form."""
    labels, scores, _ = case(11, 400)
    patients = np.arange(400) // 4
    flip = np.repeat(np.random.default_rng(0).random(100), 4) + 0.1 * np.arange(400) / 400
    labels = np.where(np.repeat(np.random.default_rng(1).random(100) < 0.15, 4), 1 - scores.argmax(1), labels)
    wrong = scores.argmax(1) != labels
    rows = referral_areas(~wrong, orders(flip, scores.max(1), scores), patients)
    by = {row["by"]: row for row in rows}
    rng = np.random.default_rng(2)
    drawn: dict[str, list[float]] = {"area": [], "gain_over_confidence": [], "gain_over_random": []}
    for _ in range(3000):
        some = (rng.integers(0, 100, 100)[:, None] * 4 + np.arange(4)).ravel()
        ways = orders(flip[some], scores[some].max(1))
        one, other = (area(wrong[some], ways[name]).value for name in ("smallest_change", "confidence"))
        drawn["area"].append(one)
        drawn["gain_over_confidence"].append(other - one)
        drawn["gain_over_random"].append(wrong[some].mean() - one)
    for name, values in drawn.items():
        found = by["smallest_change"][name]
        half = (found["high"] - found["low"]) / 2
        assert half == pytest.approx(Z * np.std(values), rel=0.1), name
        assert found["low"] < found["value"] < found["high"]


def test_no_interval_has_zero_width_where_no_answer_is_wrong() -> None:
    rows = referral_areas(np.ones(30, bool), orders(np.arange(30.0), np.linspace(0.6, 0.9, 30)))
    for row in rows:
        assert row["area"]["value"] == 0 < row["area"]["high"]
    assert rows[0]["gain_over_confidence"] == {"value": 0.0, "low": -0.113513, "high": 0.113513}


def test_a_better_order_gains_and_chance_is_the_share_of_wrong_images() -> None:
    correct = np.arange(50) >= 10
    ways = {"best": np.arange(50), "confidence": np.arange(50)[::-1]}
    rows = {row["by"]: row for row in referral_areas(correct, ways)}
    assert rows["random"]["area"]["value"] == 0.2
    assert rows["best"]["gain_over_random"]["low"] > 0
    assert rows["best"]["gain_over_confidence"]["low"] > 0
    assert rows["confidence"]["gain_over_random"]["high"] < 0
    assert "gain_over_confidence" not in rows["confidence"]
