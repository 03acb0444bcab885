"""Statistics against scikit-learn and scipy on random rows, one-sided and rare classes included."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from medrobust.records import Grouping, clean_metrics, wilson
from medrobust.records.metrics import auroc


def rows(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, predictions and scores of 6 to 40 images in 2 to 5 classes, at least one image of each."""
    rng = np.random.default_rng(seed)
    k, n = int(rng.integers(2, 6)), int(rng.integers(6, 41))
    labels = np.concatenate([np.arange(k), rng.choice(k, n - k, p=rng.dirichlet(np.ones(k)))])
    scores = rng.dirichlet(np.ones(k), n)
    scores[rng.random(n) < 0.5] = scores[0]  # ties
    return labels, scores.argmax(1), scores


@pytest.mark.parametrize("seed", range(12))
def test_points_equal_scikit_learn(seed: int) -> None:
    labels, predictions, scores = rows(seed)
    k = scores.shape[1]
    few = Grouping(np.arange(len(labels)).astype(str))
    found = {name: estimate.value for name, estimate in clean_metrics(labels, predictions, scores, few).items()}
    expected = {
        "accuracy": sk.accuracy_score(labels, predictions),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, predictions),
    }
    if k == 2:
        expected |= {
            "sensitivity": sk.recall_score(labels, predictions),
            "specificity": sk.recall_score(labels, predictions, pos_label=0),
            "precision": sk.precision_score(labels, predictions, zero_division=np.nan),
            "f1": sk.f1_score(labels, predictions, zero_division=np.nan),
            "auroc": sk.roc_auc_score(labels, scores[:, 1]),
        }
    else:
        expected |= {
            "macro_f1": sk.f1_score(labels, predictions, average="macro"),
            "precision": sk.precision_score(labels, predictions, average="macro", zero_division=0),
            "macro_sensitivity": sk.recall_score(labels, predictions, average="macro"),
            "auroc": sk.roc_auc_score(labels, scores, multi_class="ovr"),
        }
    assert found == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_classes_without_images_are_left_out_of_the_area() -> None:
    scores = np.random.default_rng(0).dirichlet(np.ones(3), 8)
    labels = np.array([0, 1] * 4)
    expected = np.mean([sk.roc_auc_score(labels == k, scores[:, k]) for k in (0, 1)])
    assert auroc(labels, scores, 1) == pytest.approx(expected)
    assert np.isnan(auroc(np.zeros(8, dtype=int), scores, 1))


def test_areas_by_counting_pairs() -> None:
    """The share of pairs in the right order, ties half."""
    labels, _, scores = rows(3)
    k = scores.shape[1]
    areas = []
    for positive in range(k) if k > 2 else [1]:
        mine, others = scores[labels == positive, positive], scores[labels != positive, positive]
        gaps = mine[:, None] - others[None]
        areas.append(float(((gaps > 0) + 0.5 * (gaps == 0)).mean()))
    assert auroc(labels, scores, 1) == pytest.approx(np.mean(areas))


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (5, 5), (1, 7), (13, 40), (399, 400), (1, 1)])
def test_wilson_is_the_formula(hits: int, n: int) -> None:
    z, p = stats.norm.ppf(0.975), hits / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    found = wilson(hits, n)
    assert (found.value, found.low, found.high) == pytest.approx((p, middle - half, middle + half), abs=1e-9)
    assert 0 <= found.low <= p <= found.high <= 1


def test_no_images_have_no_proportion() -> None:
    assert wilson(0, 0).as_dict() == {"value": None, "low": None, "high": None}


def test_proportions_of_independent_images_are_wilsons() -> None:
    labels, predictions, scores = rows(0)
    found = clean_metrics(labels, predictions, scores, Grouping(np.arange(len(labels)).astype(str)))
    assert found["accuracy"] == wilson(int((labels == predictions).sum()), len(labels))


def test_intervals_of_groups_cover_the_truth() -> None:
    """95 % intervals over groups: of 200 sets of 30 patients with 4 images each, most hold the true share."""
    rng, covered, pretended = np.random.default_rng(0), 0, 0
    for _ in range(200):
        p = rng.beta(7, 3, 30)  # of each patient; 0.7 on average
        hits = rng.random((30, 4)) < p[:, None]
        hits = np.where(rng.random((30, 1)) < 0.8, hits[:, :1], hits)  # images of a patient are alike
        grouped = Grouping(np.repeat(np.arange(30), 4).astype(str)).mean(hits.ravel())
        alone = wilson(int(hits.sum()), 120)
        covered += grouped.low <= 0.7 <= grouped.high
        pretended += alone.low <= 0.7 <= alone.high
    assert 0.92 <= covered / 200 <= 0.99
    assert covered - pretended > 30


def test_methods_say_how_intervals_were_made() -> None:
    assert Grouping(np.array(["a", "b"])).method == "95 % Wilson interval"
    said = "95 % Wilson interval of the effective number of images, 2 groups"
    assert Grouping(np.array(["a", "a", "b"])).method == said


def test_no_warning_for_classes_that_a_draw_lacks() -> None:
    labels, predictions = np.array([0, 0, 0, 1]), np.array([0, 0, 0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        few = Grouping(np.arange(4).astype(str))
        found = clean_metrics(labels, predictions, np.eye(2)[labels], few)
    assert found["sensitivity"].value == 1.0


def test_confident_answers_are_told_apart_where_float32_is_full() -> None:
    """Probabilities of .9999999 and more are 1 in float32: the area is that of the logits, not of the ties."""
    rng = np.random.default_rng(4)
    labels = np.arange(60) % 2
    z = rng.normal(size=60) * 6 + 8 * labels + 20  # all are read as class 1, most of them with a probability of 1
    logits = np.stack([np.zeros(60), z], 1)
    scores = np.exp(logits - logits.max(1, keepdims=True))
    scores = (scores / scores.sum(1, keepdims=True)).astype(np.float32)
    assert len(np.unique(scores[:, 1])) < 20
    assert auroc(labels, scores, 1) == pytest.approx(sk.roc_auc_score(labels, z))
    assert auroc(labels, scores, 0) == pytest.approx(sk.roc_auc_score(labels, z))


def test_scores_that_are_no_numbers_have_no_area() -> None:
    scores = np.array([[0.9, 0.1], [np.nan, np.nan], [0.4, 0.6], [0.7, 0.3]])
    assert math.isnan(auroc(np.array([0, 1, 0, 1]), scores, 1))


@pytest.mark.parametrize("label", [0, 1])
def test_images_of_one_class_define_no_metric_that_compares_two(label: int) -> None:
    """Some of them are read as the other class; zero or one would be a number about nothing."""
    labels, predictions = np.full(10, label), np.array([0, 1] * 5)
    found = clean_metrics(labels, predictions, np.eye(2)[predictions], Grouping(np.arange(10)))
    defined = {"accuracy", "sensitivity" if label else "specificity"}
    for name, estimate in found.items():
        assert (estimate.value == 0.5) if name in defined else math.isnan(estimate.value), name


def test_f1_of_a_class_that_is_never_the_answer_is_zero_and_precision_is_not_defined() -> None:
    labels = np.array([0] * 15 + [1] * 5)
    found = clean_metrics(labels, np.zeros(20, int), np.tile([0.9, 0.1], (20, 1)), Grouping(np.arange(20)))
    assert found["f1"].value == found["sensitivity"].value == 0
    assert found["f1"].high == pytest.approx(2 * wilson(0, 5).high / (1 + wilson(0, 5).high))
    assert math.isnan(found["precision"].value)
    assert found["auroc"].value == 0.5  # ties only


def test_macro_averages_leave_out_a_class_without_images_and_answers() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, 1])
    predictions = np.array([0, 0, 1, 1, 1, 0, 1])
    scores = np.eye(3)[predictions] * 0.8 + 0.2 / 3
    found = clean_metrics(labels, predictions, scores, Grouping(np.arange(7)))
    assert found["balanced_accuracy"].value == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert found["macro_sensitivity"] == found["balanced_accuracy"]
    assert found["macro_f1"].value == pytest.approx(sk.f1_score(labels, predictions, average="macro"))
    assert 0 < found["macro_f1"].low < found["macro_f1"].value < found["macro_f1"].high < 1
    one = clean_metrics(np.zeros(7, int), predictions, scores, Grouping(np.arange(7)))
    assert [name for name, e in one.items() if not math.isnan(e.value)] == ["accuracy"]
