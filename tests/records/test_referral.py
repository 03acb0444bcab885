"""Referral: the most sensitive images go to a person first, ties by confidence."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrobust.records import referral

IMAGE = st.tuples(st.booleans(), st.sampled_from([0.1, 0.2, 0.3, np.inf]), st.sampled_from([0.5, 0.6, 0.7, 0.8, 0.9]))


@given(st.lists(IMAGE, min_size=1, max_size=12), st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.875]))
def test_accuracy_is_that_of_the_images_kept(images: list[tuple[bool, float, float]], fraction: float) -> None:
    correct, flip, confidence = map(np.array, zip(*images, strict=True))
    dropped = int(Fraction(fraction) * len(images) + Fraction(1, 2))  # half an image is one
    rows = referral(correct, flip, confidence, (fraction,))
    if dropped == len(images):
        assert rows == []
        return
    by_flip = sorted(range(len(images)), key=lambda i: (flip[i], confidence[i], i))[dropped:]
    by_confidence = sorted(range(len(images)), key=lambda i: (confidence[i], i))[dropped:]
    assert rows[0]["accuracy"] == pytest.approx(correct[by_flip].mean(), abs=1e-6)
    assert rows[0]["baseline_confidence"] == pytest.approx(correct[by_confidence].mean(), abs=1e-6)
    assert rows[0]["random"] == pytest.approx(correct.mean(), abs=1e-6)


def test_ties_are_broken_by_confidence() -> None:
    rows = referral(np.array([True, False, True]), np.full(3, np.inf), np.array([0.9, 0.6, 0.8]), (0.34,))
    assert rows[0]["accuracy"] == 1.0


def test_fractions_are_rows_and_nothing_is_left_to_judge_when_all_are_referred() -> None:
    correct = np.array([True] * 10)
    rows = referral(correct, np.arange(10.0), np.arange(10) / 10)
    assert [row["fraction"] for row in rows] == [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert [row["num_referred"] for row in rows] == [0, 1, 1, 2, 3, 4, 5]
    assert [row["num_kept"] for row in rows] == [10, 9, 9, 8, 7, 6, 5]
    assert referral(correct, np.arange(10.0), np.arange(10) / 10, (1.0,)) == []


@pytest.mark.parametrize(
    ("n", "fraction", "referred"),
    [(10, 0.05, 1), (30, 0.05, 2), (50, 0.05, 3), (100, 0.145, 15), (9, 0.05, 0), (3, 0.5, 2)],
)
def test_half_an_image_is_one_image(n: int, fraction: float, referred: int) -> None:
    """The wrong image is the most sensitive one: sending 5 % of 10 images to a person leaves none wrong."""
    correct = np.arange(n) > 0
    row = referral(correct, np.arange(n) + 0.1, np.full(n, 0.9), (fraction,))[0]
    assert (row["num_referred"], row["num_kept"]) == (referred, n - referred)
    assert row["accuracy"] == (1.0 if referred else pytest.approx(1 - 1 / n, abs=1e-6))


def test_intervals_are_of_the_patients_that_are_kept() -> None:
    patients = np.arange(20) // 2
    row = referral(np.ones(20, dtype=bool), np.arange(20.0), np.full(20, 0.9), (0.2,), patients)[0]["intervals"]
    assert row["accuracy"]["low"] == pytest.approx(1 / (1 + 1.959964**2 / 8), abs=1e-5)
    assert row["random"]["low"] == pytest.approx(1 / (1 + 1.959964**2 / 10), abs=1e-5)
