"""The assignment of outputs to classes has the largest sum, as scipy finds it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from medrobust.records.assignment import assignment


@given(st.integers(0, 7).flatmap(lambda n: arrays(np.int64, (n, n), elements=st.integers(-5, 20))))
def test_the_sum_is_that_of_scipy(gain: np.ndarray) -> None:
    found, rows = assignment(gain), np.arange(len(gain))
    assert sorted(found.tolist()) == rows.tolist()
    assert gain[rows, found].sum() == gain[linear_sum_assignment(gain, maximize=True)].sum()


@pytest.mark.parametrize("gain", [np.ones((6, 6)), [[0, 0, 0], [0, 0, 1], [0, 0, 1]]])
def test_of_several_that_are_as_good_the_own_order_stays(gain: list) -> None:
    assert assignment(np.array(gain)).tolist() == list(range(len(gain)))


def test_a_hundred_classes_in_a_hidden_order() -> None:
    order = np.random.default_rng(0).permutation(100)
    gain = np.random.default_rng(1).random((100, 100))
    gain[np.arange(100), order] += 2
    assert assignment(gain).tolist() == order.tolist()
