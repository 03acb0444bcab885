"""What a broken line of the statistics would change: rows written by hand, and numbers read off them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from medrobust.records import Grouping, Records, correct_under, referral, sensitivity, worst_case
from medrobust.records.groups import groups

LABELS = (0, 0, 0, 1)
CLEAN = (0, 0, 0, 0)  # the last image is wrong untouched
# attack -> budget -> what it makes of each image
ANSWERS = {
    "a": {0.1: (1, 0, 0, 0), 0.2: (1, 0, 0, 1)},
    "b": {0.1: (0, 1, 0, 0), 0.3: (0, 0, 0, 0)},
}


def rows(answers: Mapping[str, Mapping[float, tuple[int, ...]]] = ANSWERS, protocol: str = "honest") -> Records:
    """Four images, two of a patient, shown in reverse under attack: the order of rows says nothing."""
    found = [("clean", "", 0.0, i, CLEAN[i]) for i in range(4)]
    for attack, grid in answers.items():
        found += [(attack, "linf", e, i, made[i]) for i in (3, 2, 1, 0) for e, made in grid.items()]
    attack, norm, epsilon, image, prediction = (np.array(column) for column in zip(*found, strict=True))
    columns = {
        "attack": attack.astype(object),
        "norm": norm.astype(object),
        "epsilon": epsilon,
        "image_id": np.array([f"i{i}" for i in image], dtype=object),
        "group_id": np.array([f"p{i // 2}" for i in image], dtype=object),
        "label": np.array(LABELS)[image],
        "clean_prediction": np.array(CLEAN)[image],
        "prediction": prediction,
        "distance": epsilon,
        "meta_sex": np.array(["fm"[i % 2] for i in image], dtype=object),
    }
    return Records(columns, protocol)


def test_an_image_is_robust_only_where_every_attack_failed() -> None:
    """At 0.1 each attack breaks another image; at 0.3 attack a counts with 0.2, and b with what it broke before."""
    worst = worst_case(rows(), "linf")
    assert worst.epsilons.tolist() == [0.1, 0.2, 0.3]
    assert worst.correct.astype(int).tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 1], [0, 0, 0]]


def test_a_budget_that_an_attack_did_not_try_is_not_covered_by_a_larger_one() -> None:
    late = {"a": {0.2: (1, 0, 0, 0)}, "b": {0.1: (0, 1, 0, 0)}}
    worst = worst_case(rows(late), "linf")
    assert worst.correct.astype(int).tolist() == [[1, 0], [0, 0], [1, 1], [0, 0]]


def test_an_image_that_fell_at_a_smaller_budget_has_fallen() -> None:
    curve = correct_under(rows(), "b", "linf")
    assert curve.raw.tolist() == [0.5, 0.75]
    assert [e.value for e in curve.estimates()] == [0.5, 0.5]


def test_a_repaired_answer_counts_as_published_and_not_in_an_honest_run() -> None:
    assert correct_under(rows(), "a", "linf").correct[3].tolist() == [False, False]
    assert correct_under(rows(protocol="paper"), "a", "linf").correct[3].tolist() == [False, True]


def test_a_flip_is_not_a_wrong_answer() -> None:
    """The last image is wrong untouched, and only a budget of 0.2 changes its answer."""
    found = sensitivity(rows(), "linf")
    assert found.epsilon_wrong.tolist() == [0.1, 0.1, np.inf, 0.0]
    assert found.epsilon_flip.tolist() == [0.1, 0.1, np.inf, 0.2]
    assert found.attack.tolist() == ["a", "b", "", ""]
    later = {"a": {0.1: (1, 0, 0, 0)}, "b": {0.2: (1, 0, 0, 0)}}
    found = sensitivity(rows(later), "linf")
    assert (found.epsilon_wrong[0], found.attack[0]) == (0.1, "a")


def test_a_flip_to_the_right_class_leaves_nothing_wrong() -> None:
    repaired = rows({"a": {0.1: (0, 0, 0, 1)}})
    found = sensitivity(repaired, "linf")
    assert found.epsilon_wrong.tolist() == [np.inf, np.inf, np.inf, 0.0]
    assert found.epsilon_flip.tolist() == [np.inf, np.inf, np.inf, 0.1]


def test_of_equally_sensitive_images_the_least_sure_is_referred_first() -> None:
    correct = np.array([True, False, True, True])
    kept = referral(correct, np.full(4, 0.1), np.array([0.9, 0.6, 0.7, 0.8]), (0.25,))
    assert kept[0]["accuracy"] == 1.0
    kept = referral(correct, np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.9, 0.6, 0.7, 0.8]), (0.25,))
    assert kept[0]["accuracy"] == pytest.approx(2 / 3, abs=1e-6)
    assert kept[0]["baseline_confidence"] == 1.0


def test_groups_are_parts_of_the_images() -> None:
    records = rows()
    found = groups(records, worst_case(records, "linf"), ("benign", "malignant"))
    by_name = {(row["column"], row["value"]): row for row in found}
    assert {name: row["num_images"] for name, row in by_name.items()} == {
        ("class", "benign"): 3,
        ("class", "malignant"): 1,
        ("sex", "f"): 2,
        ("sex", "m"): 2,
    }
    assert by_name["sex", "f"]["clean_accuracy"]["value"] == 1.0
    assert by_name["sex", "m"]["clean_accuracy"]["value"] == 0.5
    assert by_name["sex", "f"]["robust_accuracy"][0]["value"] == 0.5


def test_intervals_are_of_groups_at_95_percent() -> None:
    """Twelve patients of three images: what all share counts once a patient."""
    patients = np.repeat(np.arange(12), 3).astype(str)
    all_right = Grouping(patients).mean(np.ones(36, dtype=bool))
    assert all_right.low == pytest.approx(1 / (1 + 1.959964**2 / 12))
    alone = Grouping(np.arange(36)).mean(np.ones(36, dtype=bool))
    assert alone.low == pytest.approx(1 / (1 + 1.959964**2 / 36))
