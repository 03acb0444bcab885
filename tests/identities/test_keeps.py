"""Which of the points visited is kept."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from medrobust.engine.ascend import Objective, Point, Score
from medrobust.engine.keep import KEEPS, Kept, nothing, update
from medrobust.threat import Ball, Threat


def crafted(values: Sequence[float], hits: Sequence[bool], distances: Sequence[float]) -> list[Point]:
    """A trajectory of one pixel whose scores are given."""

    def look(value: float, hit: bool) -> Objective:
        return lambda x: Score(torch.tensor([value]), torch.zeros(1, 2), torch.tensor([hit]))

    rows = zip(values, hits, distances, strict=True)
    return [Point(torch.tensor([[0.5 + distance]]), look(value, hit)) for value, hit, distance in rows]


def fold(name: str, points: list[Point]) -> Kept:
    ball: Ball = Threat(epsilon=0.5).around(torch.tensor([[0.5]]))
    kept = nothing(ball)
    for point in points:
        kept = update(KEEPS[name], kept, point, ball)
    return kept


@pytest.mark.parametrize(
    ("name", "hits", "expected", "won"),
    [
        ("last", [False, True, True, False], 0.1, False),
        ("highest", [False, True, True, False], 0.4, True),
        ("highest", [False, False, False, False], 0.4, False),
        ("first_reached", [False, True, True, False], 0.3, True),
        ("first_reached", [False, False, False, False], 0.4, False),
        ("first_reached", [False, False, False, True], 0.1, True),
        ("smallest_success", [False, True, True, False], 0.3, True),
        ("smallest_success", [True, True, True, False], 0.2, True),
        ("smallest_success", [False, False, False, False], 0.0, False),
    ],
)
def test_what_is_kept(name: str, hits: list[bool], expected: float, won: bool) -> None:
    kept = fold(name, crafted([1.0, 2.0, 5.0, 3.0], hits, [0.2, 0.3, 0.4, 0.1]))
    assert float(kept.x) == pytest.approx(0.5 + expected)
    if name != "last":
        assert bool(kept.reached) == won


def test_a_point_that_is_not_a_number_is_not_kept() -> None:
    points = crafted([1.0, float("nan"), 0.5], [False] * 3, [0.1, 0.2, 0.3])
    for name in ("highest", "first_reached"):
        assert float(fold(name, points).x) == pytest.approx(0.6)


def test_what_is_kept_is_per_sample() -> None:
    ball = Threat(epsilon=0.5).around(torch.full((2, 1), 0.5))
    kept = nothing(ball)
    for value in ([1.0, 4.0], [3.0, 2.0]):
        score = Score(torch.tensor(value), torch.zeros(2, 2), torch.zeros(2, dtype=torch.bool))
        kept = update(
            KEEPS["highest"], kept, Point(0.5 + torch.tensor(value)[:, None] / 10, lambda _, s=score: s), ball
        )
    assert kept.x.flatten().tolist() == pytest.approx([0.8, 0.9])


def test_last_looks_at_no_score() -> None:
    def forbidden(x: Tensor) -> Score:
        raise AssertionError("asked for a score")

    ball = Threat(epsilon=0.5).around(torch.full((1, 1), 0.5))
    assert float(update(KEEPS["last"], nothing(ball), Point(torch.ones(1, 1), forbidden), ball).x) == 1
