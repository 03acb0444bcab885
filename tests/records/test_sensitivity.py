"""How much change each image needs, against counting row by row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import given

from medrobust.records import sensitivity
from medrobust.records.sensitivity import ecdf, quantiles
from records.tables import answers, make_records


@given(answers())
def test_the_smallest_budget_that_makes_wrong_and_that_flips(case: dict[str, Any]) -> None:
    records = make_records(**case, share=0.7)
    for norm in records.norms:
        found = sensitivity(records, norm)
        rows = [
            (epsilon, name, by_budget[epsilon])
            for (name, other), by_budget in case["attacks"].items()
            if other == norm
            for epsilon in by_budget
        ]
        for i, (label, clean) in enumerate(zip(case["labels"], case["clean"], strict=True)):
            wrong = [(epsilon, name) for epsilon, name, given in rows if given[i] != label]
            flips = [epsilon for epsilon, _, given in rows if given[i] != clean]
            right = label == clean
            assert found.epsilon_wrong[i] == (min(wrong)[0] if right and wrong else math.inf if right else 0)
            assert found.epsilon_flip[i] == min(flips, default=math.inf)
            assert found.attack[i] == (min(wrong)[1] if right and wrong else "")
            assert found.change_flip[i] == 0.7 * min(flips, default=math.inf)
            smallest = [(0.7 * epsilon, name, given[i]) for epsilon, name, given in rows if given[i] != label]
            nearest = min(smallest, default=None, key=lambda row: row[0]) if right else None
            assert found.change_attack[i] == (nearest[1] if nearest else "")
            assert found.change_answer[i] == (nearest[2] if nearest else -1)
            if right:
                assert found.change_wrong[i] == 0.7 * min(wrong)[0] if wrong else np.isinf(found.change_wrong[i])
            else:
                assert found.change_wrong[i] == 0


def test_of_two_attacks_at_one_budget_the_first_is_named() -> None:
    records = make_records([0], [0], {("late", "linf"): {0.2: [1]}, ("first", "linf"): {0.1: [1]}})
    assert records.sensitivity("linf").attack.tolist() == ["first"]
    records = make_records([0], [0], {("b", "linf"): {0.1: [1]}, ("a", "linf"): {0.1: [1]}})
    assert records.sensitivity("linf").attack.tolist() == ["b"]


def test_the_distribution_of_smallest_changes_is_that_of_scipy() -> None:
    from scipy.stats import ecdf as reference

    values = np.random.default_rng(0).integers(0, 40, 90) / 255
    found = ecdf(values)
    wanted = reference(values).cdf
    assert [v for v, _ in found] == wanted.quantiles.tolist()
    assert np.allclose([share for _, share in found], wanted.probabilities, atol=1e-6)
    censored = np.concatenate([values, np.full(10, np.inf)])
    assert np.allclose([share for _, share in ecdf(censored)], 0.9 * wanted.probabilities, atol=1e-6)


def test_the_distribution_keeps_both_ends_and_stays_short() -> None:
    values = np.random.default_rng(1).random(5000)
    found = ecdf(values)
    assert len(found) == 200
    assert found[0] == [values.min(), 1 / 5000]
    assert found[-1] == [values.max(), 1.0]
    assert all(share == np.mean(values <= value) for value, share in found)
    assert ecdf(np.full(3, np.inf)) == ecdf(np.array([])) == []


def test_quantiles_beyond_the_largest_budget_are_unknown() -> None:
    values = np.array([0.1, 0.2, 0.3, np.inf, np.inf])
    assert quantiles(values, (0.0, 0.25, 0.5, 0.75, 1.0)) == {
        "0.0": 0.1,
        "0.25": 0.2,
        "0.5": 0.3,
        "0.75": None,
        "1.0": None,
    }
    assert quantiles(np.array([]), (0.5,)) == {"0.5": None}


def test_quantiles_of_unbroken_images_are_censored_and_never_the_largest_budget() -> None:
    """Of 21 images 11 fall: the median is theirs. Of 20 images 10 fall: half of them do not, and the median is null."""
    budgets = np.arange(1, 12) / 100
    assert quantiles(np.concatenate([budgets, np.full(10, np.inf)]))["0.5"] == 0.11
    assert quantiles(np.concatenate([budgets[:10], np.full(10, np.inf)]))["0.5"] is None
    assert quantiles(np.full(4, np.inf)) == dict.fromkeys(["0.05", "0.25", "0.5", "0.75", "0.95"])


def test_quantiles_are_values_of_the_images_at_every_number_of_them() -> None:
    """scipy's definition without interpolation, in exact numbers."""
    for n in range(1, 130):
        values = np.random.default_rng(n).permutation(np.arange(n)).astype(float)
        for percent in (5, 25, 50, 75, 95):
            at = -(-percent * (n - 1) // 100)  # rounded up
            assert quantiles(values, (percent / 100,)) == {str(percent / 100): float(at)}
