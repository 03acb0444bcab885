"""Statistics against scikit-learn and statements that must hold."""

import numpy as np
import pytest
from sklearn import metrics as sk

from medrobust.records.intervals import Grouping, wilson
from medrobust.records.metrics import clean_metrics
from medrobust.records.referral import referral


def sample(k: int, n: int = 120, per_group: int = 1, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    logits = rng.normal(size=(n, k)) + 1.5 * np.eye(k)[labels]
    scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return labels, scores.argmax(1), scores, Grouping((np.arange(n) // per_group).astype(str))


@pytest.mark.parametrize("positive", [0, 1])
def test_two_class_metrics_equal_scikit_learn(positive: int) -> None:
    labels, predictions, scores, grouping = sample(2)
    found = clean_metrics(labels, predictions, scores, grouping, positive)
    expected = {
        "accuracy": sk.accuracy_score(labels, predictions),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, predictions),
        "sensitivity": sk.recall_score(labels, predictions, pos_label=positive),
        "specificity": sk.recall_score(labels, predictions, pos_label=1 - positive),
        "precision": sk.precision_score(labels, predictions, pos_label=positive),
        "f1": sk.f1_score(labels, predictions, pos_label=positive),
        "auroc": sk.roc_auc_score(labels == positive, scores[:, positive]),
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, abs=1e-6), name
        assert found[name].low - 1e-9 <= value <= found[name].high + 1e-9, name


def test_several_classes_equal_scikit_learn() -> None:
    labels, predictions, scores, grouping = sample(4)
    found = clean_metrics(labels, predictions, scores, grouping)
    assert found["macro_f1"].value == pytest.approx(sk.f1_score(labels, predictions, average="macro"), abs=1e-6)
    assert found["balanced_accuracy"].value == pytest.approx(sk.balanced_accuracy_score(labels, predictions), abs=1e-6)
    assert found["auroc"].value == pytest.approx(sk.roc_auc_score(labels, scores, multi_class="ovr"), abs=1e-6)


def test_wilson_is_the_textbook_interval() -> None:
    # Newcombe 1998, table I: 81 of 263 gives .2553 to .3662.
    found = wilson(81, 263)
    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)


def test_groups_of_copies_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    hits = rng.random(60) < 0.7
    alone = Grouping(np.arange(60).astype(str)).mean(hits)
    copied = Grouping(np.repeat(np.arange(60), 5).astype(str)).mean(np.repeat(hits, 5))
    pretended = Grouping(np.arange(300).astype(str)).mean(np.repeat(hits, 5))
    width = copied.high - copied.low
    assert width > 1.8 * (pretended.high - pretended.low)
    assert width == pytest.approx(alone.high - alone.low, rel=0.2)


def test_a_class_without_images_is_undefined_not_zero() -> None:
    labels, predictions = np.zeros(20, dtype=int), np.zeros(20, dtype=int)
    found = clean_metrics(labels, predictions, np.tile([0.9, 0.1], (20, 1)), Grouping(np.arange(20).astype(str)))
    assert found["accuracy"] == found["specificity"] == wilson(20, 20)
    for name in ("sensitivity", "auroc", "balanced_accuracy", "precision", "f1"):
        assert found[name].as_dict() == {"value": None, "low": None, "high": None}, name


def test_referral_drops_the_most_sensitive_first() -> None:
    correct = np.array([False, True, True, False])
    rows = referral(correct, np.array([0.1, 0.5, np.inf, 0.2]), np.array([0.9, 0.6, 0.7, 0.8]), (0.0, 0.5))
    assert [row["accuracy"] for row in rows] == [0.5, 1.0]
    assert rows[1]["baseline_confidence"] == 0.0


def test_all_or_nothing_has_an_interval_of_the_number_of_groups() -> None:
    groups = Grouping(np.repeat(np.arange(10), 4).astype(str))
    assert groups.mean(np.zeros(40, dtype=bool)) == wilson(0, 10)
    assert groups.mean(np.ones(40, dtype=bool)) == wilson(10, 10)
