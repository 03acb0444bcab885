"""The answers of the worst case: as right as the worst case, and those of an attack that broke the image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from medrobust.records import Grouping, Records
from medrobust.records.harm import harm
from medrobust.records.per_class import Reading, under_attack
from medrobust.records.worst_answers import margins, untouched, worst_answers
from records.tables import answers, make_records


@settings(max_examples=60)
@given(answers(), st.sampled_from(["honest", "paper"]), st.data())
def test_accuracy_is_that_of_the_worst_case_and_each_answer_was_given(
    case: dict[str, Any], protocol: str, data: st.DataObject
) -> None:
    n = len(case["labels"])
    confidence = data.draw(st.lists(st.sampled_from([0.5, 0.7, 0.9]), min_size=n, max_size=n))
    records = make_records(**case, confidence=confidence, protocol=protocol)
    clean = records.clean
    for norm in records.norms:
        curve = records.worst_case(norm)
        for column, found in enumerate(worst_answers(records, norm)):
            assert found.epsilon == curve.epsilons[column]
            right = found.prediction == clean["label"]
            assert right.tolist() == curve.counted[:, column].tolist()
            for i in range(n):
                mine = records["image_id"] == clean["image_id"][i]
                near = (
                    (records["epsilon"] <= found.epsilon)
                    if protocol == "honest"
                    else (records["epsilon"] == found.epsilon)
                )
                seen = mine & near & (records["norm"] == norm) | mine & (records["attack"] == "clean")
                given_ = {
                    (int(p), *map(float, s))
                    for p, s in zip(records["prediction"][seen], records["scores"][seen], strict=True)
                }
                assert (int(found.prediction[i]), *map(float, found.scores[i])) in given_
                if protocol == "honest":
                    expected = {int(p) for p in records["prediction"][seen]}
                    assert set(np.flatnonzero(found.ever[i]).tolist()) == expected


def two_attacks() -> Records:
    """Image 0 falls to b alone; image 1 falls to both, to b further; image 2 to none, a comes nearer."""
    records = make_records([0, 0, 0], [0, 0, 0], {("a", "linf"): {0.1: [0, 1, 0]}, ("b", "linf"): {0.1: [1, 1, 0]}})
    scores = records["scores"].copy()
    told = {("a", 0): 0.8, ("a", 1): 0.45, ("a", 2): 0.55, ("b", 0): 0.4, ("b", 1): 0.1, ("b", 2): 0.95}
    for (attack, i), p in told.items():
        scores[(records["attack"] == attack) & (records["image_id"] == f"i{i}")] = [p, 1 - p]
    return Records({**records.columns, "scores": scores})


def test_the_attack_that_broke_the_image_speaks_else_the_one_that_came_nearest() -> None:
    (found,) = worst_answers(two_attacks(), "linf")
    assert found.prediction.tolist() == [1, 1, 0]
    assert found.scores[:, 0].tolist() == pytest.approx([0.4, 0.1, 0.55], abs=1e-6)


def test_metrics_under_attack_are_those_of_scikit_learn_on_the_worst_answers() -> None:
    rng = np.random.default_rng(1)
    labels = (np.arange(40) % 2).tolist()
    made = {e: rng.integers(0, 2, 40).tolist() for e in (0.1, 0.2)}
    records = make_records(labels, labels, {("a", "linf"): made}, confidence=rng.choice([0.6, 0.8, 0.9], 40).tolist())
    how = Reading(records.clean["label"], Grouping(np.arange(40)))
    for found in worst_answers(records, "linf"):
        row = under_attack(found, how)
        p = found.scores[:, 1]
        expected = {
            "accuracy": sk.accuracy_score(labels, found.prediction),
            "sensitivity": sk.recall_score(labels, found.prediction),
            "auroc": sk.roc_auc_score(labels, p),
            "average_precision": sk.average_precision_score(labels, p),
            "brier": sk.brier_score_loss(labels, p),
        }
        assert {name: row["metrics"][name]["value"] for name in expected} == pytest.approx(expected, abs=1e-5)
        assert (row["norm"], row["epsilon"]) == ("linf", found.epsilon)


def test_missed_and_false_alarms_are_each_their_own_worst_case() -> None:
    """Of three classes, 2 is positive. Image 0 is read as 1 and, by another attack, as 2: a false alarm too."""
    attacks = {("a", "linf"): {0.1: [1, 1, 2, 0]}, ("b", "linf"): {0.1: [2, 1, 2, 2]}}
    records = make_records([0, 1, 2, 2], [0, 1, 2, 1], attacks, num_classes=3)
    label, right = records.clean["label"], np.array([True, True, True, False])
    alone = Grouping(np.arange(4))
    clean = harm(untouched(records), label, right, 2, alone)
    assert (clean["norm"], clean["missed"]["count"], clean["false_alarm"]["count"]) == (None, 1, 0)
    (found,) = (harm(one, label, right, 2, alone) for one in worst_answers(records, "linf"))
    missed, alarm = found["missed"], found["false_alarm"]
    assert (missed["count"], missed["num_images"], missed["num_new"], missed["value"]) == (1, 2, 0, 0.5)
    assert (alarm["count"], alarm["num_images"], alarm["num_new"], alarm["value"]) == (1, 2, 1, 0.5)
    assert missed["low"] < 0.5 < missed["high"]


def test_the_margin_of_what_is_no_number_is_the_worst() -> None:
    found = margins(np.array([0, 1]), np.array([[np.nan, 0.1], [0.3, 0.7]]))
    assert found.tolist() == pytest.approx([-np.inf, 0.4])
