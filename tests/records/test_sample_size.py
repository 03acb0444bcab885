"""The number of images that an interval needs: enough, and one fewer is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrobust.records import Grouping, wilson
from medrobust.records.sample_size import images_for, sample_size
from records.tables import make_records


def half(p: float, n: int) -> float:
    found = wilson(p * n, n)
    return (found.high - found.low) / 2


@given(st.floats(0, 1), st.floats(0.002, 0.45))
def test_so_many_images_are_enough_and_one_fewer_is_not(p: float, wanted: float) -> None:
    n = images_for(p, wanted)
    assert half(p, n) <= wanted
    assert n == 1 or half(p, n - 1) > wanted


def test_a_width_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="not above 0"):
        images_for(0.5, 0.0)


def test_what_is_needed_grows_with_the_likeness_of_images_of_a_group() -> None:
    right = np.repeat(np.random.default_rng(0).random(60) < 0.8, 4)
    alone = sample_size(right, [], Grouping(np.arange(240)))["rows"][0]
    copies = sample_size(right, [], Grouping(np.arange(240) // 4))["rows"][0]
    assert alone["num_images"] == alone["num_groups"] == images_for(right.mean(), 0.05)
    assert copies["design_effect"] == pytest.approx(4, abs=0.2)
    assert copies["num_images"] == pytest.approx(4 * alone["num_images"], rel=0.05)
    assert copies["num_groups"] * 4 == pytest.approx(copies["num_images"], abs=4)


def test_there_is_a_row_for_each_budget_and_enough_is_said_of_the_interval_itself() -> None:
    n = 400
    records = make_records([0] * n, [0] * n, {("a", "linf"): {0.1: [0] * 300 + [1] * 100, 0.2: [1] * n}})
    curve = records.worst_case("linf")
    found = sample_size(np.ones(n, bool), [curve], Grouping(records.clean["group_id"]))
    assert [(row["norm"], row["epsilon"], row["value"]) for row in found["rows"]] == [
        (None, 0.0, 1.0), ("linf", 0.1, 0.75), ("linf", 0.2, 0.0),
    ]  # fmt: skip
    for row, e in zip(found["rows"][1:], curve.estimates(), strict=True):
        assert row["half_width_now"] == pytest.approx((e.high - e.low) / 2, abs=1e-6)
        assert row["enough"] is (row["half_width_now"] <= found["half_width"])
        assert row["enough"] is (row["num_images"] <= n)
