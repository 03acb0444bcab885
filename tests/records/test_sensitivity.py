"""How much change each image needs, against counting row by row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import given

from medrobust.records import sensitivity
from medrobust.records.sensitivity import quantiles
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
            if right:
                assert found.change_wrong[i] == 0.7 * min(wrong)[0] if wrong else np.isinf(found.change_wrong[i])
            else:
                assert found.change_wrong[i] == 0


def test_of_two_attacks_at_one_budget_the_first_is_named() -> None:
    records = make_records([0], [0], {("late", "linf"): {0.2: [1]}, ("first", "linf"): {0.1: [1]}})
    assert records.sensitivity("linf").attack.tolist() == ["first"]
    records = make_records([0], [0], {("b", "linf"): {0.1: [1]}, ("a", "linf"): {0.1: [1]}})
    assert records.sensitivity("linf").attack.tolist() == ["b"]


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
