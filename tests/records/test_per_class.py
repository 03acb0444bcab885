"""Average precision, predictive values, calibration, one class at a time: equal to scikit-learn, ties included."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from medrobust.records import Grouping
from medrobust.records.calibration import calibration
from medrobust.records.metrics import Part, rate
from medrobust.records.per_class import Reading, all_metrics, of_class
from medrobust.records.precision import average_precision, precisions, predictive
from medrobust.records.worst_answers import Answers

GRID = [0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85]  # few values, so that many are tied


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """Labels, probabilities and predictions of 1 to 14 images in 2 or 3 classes; classes may be absent."""
    k, n = draw(st.integers(2, 3)), draw(st.integers(1, 14))
    labels = np.array(draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n)))
    first = np.array(draw(st.lists(st.sampled_from(GRID), min_size=n, max_size=n)))
    rest = (1 - first)[:, None] * (np.array([1.0]) if k == 2 else np.array([0.25, 0.75]))
    scores = np.concatenate([first[:, None], rest], 1).round(6)
    return {"labels": labels, "scores": scores, "read": scores.argmax(1)}


@settings(max_examples=80)
@given(rows())
def test_numbers_of_a_class_equal_scikit_learn(case: dict[str, Any]) -> None:
    labels, scores, read = case["labels"], case["scores"], case["read"]
    how = Reading(labels, Grouping(np.arange(len(labels))))
    for k in range(scores.shape[1]):
        own, called = labels == k, read == k
        both = own.any() and not own.all()
        expected = {
            "sensitivity": sk.recall_score(own, called, zero_division=np.nan),
            "specificity": sk.recall_score(~own, ~called, zero_division=np.nan),
            "ppv": sk.precision_score(own, called, zero_division=np.nan) if both else math.nan,
            "npv": sk.precision_score(~own, ~called, zero_division=np.nan) if both else math.nan,
            "f1": sk.f1_score(own, called, zero_division=np.nan) if both else math.nan,
            "auroc": sk.roc_auc_score(own, scores[:, k]) if both else math.nan,
            "average_precision": sk.average_precision_score(own, scores[:, k]) if both else math.nan,
        }
        found = {name: e.value for name, e in of_class(k, read, scores, how).items()}
        assert found == pytest.approx(expected, abs=1e-9, nan_ok=True)


@settings(max_examples=60)
@given(rows())
def test_calibration_and_the_mean_of_average_precisions_equal_scikit_learn(case: dict[str, Any]) -> None:
    labels, scores, read = case["labels"], case["scores"], case["read"]
    grouping = Grouping(np.arange(len(labels)))
    found = calibration(labels, read, scores, grouping)
    kinds = list(range(scores.shape[1]))
    exact = scores / scores.sum(1, keepdims=True)
    if len(kinds) == 2:
        expected = sk.brier_score_loss(labels, exact[:, 1], pos_label=1)
    else:
        expected = sk.brier_score_loss(labels, exact, labels=kinds, scale_by_half=True)
    assert found["brier"].value == pytest.approx(expected, abs=1e-5)
    top, error = scores.max(1), 0.0
    for b in range(15):  # by the definition, bin after bin
        among = (top > b / 15) & (top <= (b + 1) / 15)
        if among.any():
            error += among.mean() * abs(top[among].mean() - (read == labels)[among].mean())
    assert found["ece"].value == pytest.approx(error, abs=1e-9)
    present = [k for k in kinds if 0 < (labels == k).sum() < len(labels)]
    each = [sk.average_precision_score(labels == k, scores[:, k]) for k in present]
    mean = precisions(labels, scores, grouping, 1)["mean_average_precision"].value
    assert mean == pytest.approx(np.mean(each) if each else math.nan, nan_ok=True)


@settings(max_examples=40)
@given(rows())
def test_the_influence_of_an_image_is_what_a_little_more_of_it_changes(case: dict[str, Any]) -> None:
    """scikit-learn takes weights: the slope of its average precision in the weight of each image."""
    own, score = case["labels"] == 0, case["scores"][:, 0]
    if own.all() or not own.any():
        return
    _, influence, _ = average_precision(own, score)
    step = 1e-5
    for i in range(len(own)):
        weight = np.ones(len(own))
        ends = []
        for by in (step, -step):
            weight[i] = 1 + by
            ends.append(sk.average_precision_score(own, score, sample_weight=weight))
        assert influence[i] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-6)


def test_intervals_are_those_of_a_bootstrap_of_groups() -> None:
    """100 patients of 1 to 4 images: 800 draws of patients, in the middle of the range where both are right."""
    rng = np.random.default_rng(7)
    patient = np.repeat(np.arange(100), rng.integers(1, 5, 100))
    labels = (patient % 2).astype(int)
    x = 1.3 * labels + 0.8 * rng.normal(size=100)[patient] + 0.6 * rng.normal(size=len(patient))
    p = 1 / (1 + np.exp(0.6 - x))
    scores, of = np.stack([1 - p, p], 1), [np.flatnonzero(patient == i) for i in range(100)]
    draws = []
    for _ in range(800):
        drawn = np.concatenate([of[i] for i in rng.integers(0, 100, 100)])
        draws.append((average_precision(labels[drawn] == 1, p[drawn])[0], ((p - labels)[drawn] ** 2).mean()))
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    grouping = Grouping(patient)
    precision = precisions(labels, scores, grouping, 1)["average_precision"]
    loss = calibration(labels, scores.argmax(1), scores, grouping)["brier"]
    for found, start, end in zip((precision, loss), low, high, strict=True):
        assert (found.low, found.high) == (pytest.approx(start, abs=0.04), pytest.approx(end, abs=0.04))


def parts(own: np.ndarray, called: np.ndarray, grouping: Grouping) -> tuple[Part, Part]:
    return rate(called, own, grouping), rate(called, ~own, grouping)


@pytest.mark.parametrize("prevalence", [0.01, 0.2, 0.6])
def test_predictive_values_at_a_prevalence_are_those_of_a_set_of_that_prevalence(prevalence: float) -> None:
    """A set in which the classes are weighted to the prevalence, read by scikit-learn."""
    rng = np.random.default_rng(4)
    labels = (rng.random(200) < 0.4).astype(int)
    read = np.where(rng.random(200) < 0.8, labels, 1 - labels)
    weight = np.where(labels == 1, prevalence / labels.mean(), (1 - prevalence) / (1 - labels.mean()))
    how = Reading(labels, Grouping(np.arange(200)), prevalence={1: prevalence})
    found = of_class(1, read, np.eye(2)[read], how)
    assert found["ppv"].value == pytest.approx(sk.precision_score(labels, read, sample_weight=weight))
    expected = sk.precision_score(labels, read, pos_label=0, sample_weight=weight)
    assert found["npv"].value == pytest.approx(expected)
    for name in ("ppv", "npv"):
        assert found[name].low < found[name].value < found[name].high
    own = of_class(1, read, np.eye(2)[read], Reading(labels, Grouping(np.arange(200)), prevalence={1: labels.mean()}))
    assert own["ppv"].value == pytest.approx(sk.precision_score(labels, read))


def test_an_interval_of_a_predictive_value_has_a_width_where_nothing_was_read_wrongly() -> None:
    own = np.arange(40) < 20
    alone = Grouping(np.arange(40))
    perfect, wrong = (predictive(*parts(own, called, alone), 0.5, alone) for called in (own, ~own))
    assert (perfect.value, perfect.high, wrong.value, wrong.low) == (1.0, 1.0, 0.0, 0.0)
    # The ends of both rates are 1 / (1 + z^2 / 20) and the rest to 1; the ratio is between them, by square-and-add.
    end = 1 / (1 + 1.959963984540054**2 / 20)
    assert perfect.low == pytest.approx(1 / (1 + (1 - end) / math.sqrt(end * (2 - end))))
    assert wrong.high == pytest.approx(1 - perfect.low)
    assert math.isnan(predictive(*parts(own, np.zeros(40, bool), alone), 0.1, alone).value), "nothing was read as it"


def test_predictive_values_cover() -> None:
    """Of 400 sets of 60 patients with a sensitivity of .9 and a specificity of .8, at a prevalence of .1."""
    rng = np.random.default_rng(8)
    truth, inside = 0.9 * 0.1 / (0.9 * 0.1 + 0.2 * 0.9), 0
    own, alone = np.arange(120) < 60, Grouping(np.arange(120))
    for _ in range(400):
        called = rng.random(120) < np.where(own, 0.9, 0.2)
        found = predictive(*parts(own, called, alone), 0.1, alone)
        inside += found.low <= truth <= found.high
    assert 0.92 <= inside / 400 <= 0.985


def test_sensitivity_is_that_of_the_operating_point_and_accuracy_is_not() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    positive = np.array([0.1, 0.3, 0.6, 0.35, 0.7, 0.9])
    scores = np.stack([1 - positive, positive], 1)
    answers = Answers("", 0.0, scores.argmax(1), scores, np.eye(2, dtype=bool)[scores.argmax(1)])
    alone = Grouping(np.arange(6))
    usual = all_metrics(answers, Reading(labels, alone))
    fixed = all_metrics(answers, Reading(labels, alone, threshold=0.35))
    assert usual["sensitivity"].value == fixed["specificity"].value == pytest.approx(2 / 3)
    assert (fixed["sensitivity"].value, fixed["ppv"].value) == (1.0, pytest.approx(0.75))
    assert usual["accuracy"] == fixed["accuracy"]


def test_calibrated_probabilities_may_have_no_error_and_false_ones_have_some() -> None:
    """Of 100 sets of 300 images whose probabilities are true, the interval of the error holds 0 nearly always."""
    rng, held, excluded = np.random.default_rng(2), 0, 0
    for _ in range(100):
        p = rng.uniform(0.5, 1, 300)
        scores = np.stack([p, 1 - p], 1)
        for shift, true in ((0.0, True), (0.15, False)):
            labels = (rng.random(300) > p - shift).astype(int)
            e = calibration(labels, np.zeros(300, int), scores, Grouping(np.arange(300)))["ece"]
            held, excluded = held + (true and e.low == 0), excluded + (not true and e.low <= 0.15 <= e.high)
    assert held >= 95
    assert excluded >= 95


def test_a_score_that_is_no_number_has_no_error_and_no_rank() -> None:
    labels, scores = np.array([0, 1, 1]), np.array([[0.9, 0.1], [np.nan, np.nan], [0.2, 0.8]])
    found = calibration(labels, np.array([0, 1, 1]), scores, Grouping(np.arange(3)))
    assert math.isnan(found["ece"].value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(precisions(labels, scores, Grouping(np.arange(3)), 1)["average_precision"].value)
