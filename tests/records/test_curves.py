"""Curves of robust accuracy, against counting row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrobust.records import Curve, Grouping, correct_under, curves, worst_case
from medrobust.records.curves import norms
from records.tables import answers, make_records

PROTOCOLS = st.sampled_from(["honest", "paper"])


def stands(case: dict[str, Any], protocol: str, i: int, epsilon: float, cells: list[tuple[str, str]]) -> bool:
    """Whether image i is right at a budget: no attack has a wrong answer at it or, if honest, below."""
    if protocol == "honest" and case["clean"][i] != case["labels"][i]:
        return False
    return all(
        found[i] == case["labels"][i]
        for cell in cells
        for budget, found in case["attacks"][cell].items()
        if budget == epsilon or (budget < epsilon and protocol == "honest")
    )


@given(answers(), PROTOCOLS)
def test_what_counts_and_worst_cases_are_those_of_the_rows(case: dict[str, Any], protocol: str) -> None:
    records = make_records(**case, protocol=protocol)
    for curve in curves(records):
        cell = (curve.attack, curve.norm)
        assert curve.epsilons.tolist() == sorted(case["attacks"][cell])
        expected = [[stands(case, protocol, i, e, [cell]) for e in curve.epsilons] for i in range(len(case["labels"]))]
        assert curve.counted.tolist() == expected
    for norm in norms(records):
        cells = [cell for cell in case["attacks"] if cell[1] == norm]
        worst = worst_case(records, norm)
        assert worst.epsilons.tolist() == sorted({e for cell in cells for e in case["attacks"][cell]})
        expected = [[stands(case, protocol, i, e, cells) for e in worst.epsilons] for i in range(len(case["labels"]))]
        assert worst.counted.tolist() == expected


def test_raw_is_what_was_measured_and_the_envelope_never_rises() -> None:
    records = make_records([0, 0], [0, 0], {("fgsm", "linf"): {0.1: [1, 0], 0.2: [0, 0], 0.3: [0, 1]}})
    curve = correct_under(records, "fgsm", "linf")
    assert curve.raw.tolist() == [0.5, 1.0, 0.5]
    assert curve.envelope.mean(0).tolist() == [0.5, 0.5, 0.0]


def test_an_attack_that_repairs_a_wrong_answer_counts_only_as_published() -> None:
    repaired = {("targeted", "linf"): {0.1: [1]}}
    honest = make_records([1], [0], repaired)
    paper = make_records([1], [0], repaired, protocol="paper")
    assert not correct_under(honest, "targeted", "linf").correct.any()
    assert correct_under(paper, "targeted", "linf").correct.all()


def test_protocol_paper_keeps_repairs_at_larger_budgets_visible() -> None:
    """Broken at .1, repaired at .2: published tables count each budget on its own; an honest image stays broken."""
    attacks = {("targeted", "linf"): {0.1: [1, 0, 0], 0.2: [0, 1, 0], 0.3: [0, 0, 1]}}
    paper = make_records([0, 0, 0], [0, 0, 0], attacks, protocol="paper")
    honest = make_records([0, 0, 0], [0, 0, 0], attacks)
    for curve in (paper.curves("linf")[0], paper.worst_case("linf")):
        assert [round(e.value, 3) for e in curve.estimates()] == [0.667, 0.667, 0.667]
    for curve in (honest.curves("linf")[0], honest.worst_case("linf")):
        assert [round(e.value, 3) for e in curve.estimates()] == [0.667, 0.333, 0.0]


def test_a_budget_that_an_attack_did_not_try_is_covered_by_its_largest_smaller_one() -> None:
    attacks = {
        ("a", "linf"): {0.1: [1, 0], 0.3: [1, 0]},
        ("b", "linf"): {0.2: [0, 1]},
        ("c", "l2"): {0.05: [1, 1]},
    }
    worst = worst_case(make_records([0, 0], [0, 0], attacks), "linf")
    assert worst.epsilons.tolist() == [0.1, 0.2, 0.3]
    assert worst.correct.tolist() == [[False, False, False], [True, False, False]]
    assert (worst.attack, worst.norm) == ("worst_case", "linf")


def test_norms_in_the_order_of_the_rows_and_none_that_was_not_measured() -> None:
    records = make_records([0], [0], {("a", "l2"): {1.0: [1]}, ("b", "linf"): {0.1: [1]}, ("a", "linf"): {0.1: [0]}})
    assert records.norms == norms(records) == ["l2", "linf"]
    assert [curve.attack for curve in records.curves("linf")] == ["b", "a"]
    with pytest.raises(ValueError, match="'l1' was not measured; measured: l2, linf"):
        records.worst_case("l1")


def test_estimates_are_over_groups() -> None:
    groups = [f"p{i // 4}" for i in range(40)]
    wrong = [int(i % 8 < 4) for i in range(40)]  # every second patient falls
    records = make_records([0] * 40, [0] * 40, {("a", "linf"): {0.1: wrong}}, groups=groups)
    curve = records.curves("linf")[0]
    found = curve.estimates()[0]
    assert found.value == 0.5
    assert found == Grouping(np.array(groups)).mean(np.array(wrong) == 0)
    alone = Curve("a", "linf", curve.epsilons, curve.correct).estimates()[0]
    assert found.high - found.low > 1.5 * (alone.high - alone.low)
