"""Grids, the bundle of the images under attack, and what is written down of a search."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from measuring.toys import image_set, linear, subjects
from medrobust.engine.tree import take
from medrobust.measuring.outcome import Grid, Outcome
from medrobust.measuring.verify import Verdict
from medrobust.norms import NORMS

GRID = Grid("linf", (0.3, 0.1, 0.2, 0.1))


def verdict(n: int, distance: float = 0.05, won: bool = True) -> Verdict:
    x = torch.full((n, 1, 2, 2), 0.5)
    logits = torch.tensor([[0.0, 1.0]]).repeat(n, 1)
    yes = torch.full((n,), won)
    return Verdict(x, logits, yes, torch.full((n,), distance, dtype=torch.float64), yes)


def test_grids_are_ascending_without_repetition() -> None:
    assert GRID.epsilons == (0.1, 0.2, 0.3)
    assert GRID.norm is NORMS["linf"]
    assert GRID.radii.dtype == torch.float64
    # The largest numbers of float32 that are not above a tenth, two and three tenths: k / 2^n, by hand.
    assert GRID.radii.tolist() == [13421772 / 2**27, 13421772 / 2**26, 10066329 / 2**25]


def test_nothing_is_the_clean_answer_at_distance_zero() -> None:
    logits = torch.tensor([[2.0, 1.0], [0.0, 3.0]])
    outcome = Outcome.nothing(logits, GRID)
    assert outcome.prediction.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert torch.equal(outcome.logits[:, 2], logits)
    for name in ("reached", "survives", "distance", "forwards", "backwards"):
        assert not bool(getattr(outcome, name).any()), name
    outcome.logits[0, 0] = 7
    assert torch.equal(outcome.logits[0, 1], logits[0]), "budgets share memory"


def test_a_verdict_is_written_to_one_budget_or_from_one_on() -> None:
    outcome = Outcome.nothing(torch.tensor([[2.0, 1.0]] * 3), GRID)
    outcome.set(torch.tensor([1]), 1, verdict(1))
    assert outcome.reached.tolist() == [[False] * 3, [False, True, False], [False] * 3]
    assert outcome.prediction[1].tolist() == [0, 1, 0]
    outcome.set_from(torch.tensor([0, 2]), torch.tensor([2, 0]), verdict(2, 0.07))
    assert outcome.reached.tolist() == [[False, False, True], [False, True, False], [True] * 3]
    assert outcome.distance[2].tolist() == [0.07] * 3
    assert outcome.survives[0].tolist() == [False, False, True]


def test_parts_are_put_where_they_belong() -> None:
    whole = Outcome.nothing(torch.zeros(4, 2), GRID)
    part = Outcome.nothing(torch.ones(2, 2), GRID)
    part.set(torch.tensor([0, 1]), slice(0, None), verdict(2))
    part.forwards += 3
    whole.put(slice(1, 3), part)
    assert whole.reached.any(1).tolist() == [False, True, True, False]
    assert whole.forwards[:, 0].tolist() == [0, 3, 3, 0]
    assert whole.grid is GRID


def test_rows_say_what_each_image_said_at_each_budget() -> None:
    outcome = Outcome.nothing(torch.tensor([[2.0, 1.0], [0.0, 3.0]]), GRID)
    outcome.set(torch.tensor([0]), slice(1, None), verdict(1))
    rows = outcome.rows("pgd", "untargeted", [{"image_id": "a"}, {"image_id": "b"}])
    assert [(row["image_id"], row["epsilon"]) for row in rows] == [(i, e) for i in "ab" for e in (0.1, 0.2, 0.3)]
    assert [row["reached"] for row in rows] == [False, True, True, False, False, False]
    assert [row["prediction"] for row in rows] == [0, 1, 1, 1, 1, 1]
    assert all(type(row[name]) is int for row in rows for name in ("prediction", "forwards", "backwards"))
    assert rows[0]["scores"].dtype == np.float32
    assert rows[0]["scores"].sum() == pytest.approx(1)
    assert {row["norm"] for row in rows} == {"linf"}


def test_subjects_are_cut_together_and_know_their_balls() -> None:
    images = image_set(6)
    shown = subjects(linear(), torch.stack([images[i][0] for i in range(6)]))
    part = take(shown, torch.tensor([4, 1]))
    assert torch.equal(part.x[1], shown.x[1])
    assert torch.equal(part.goal.labels, shown.y[[4, 1]])
    assert torch.equal(part.streams.uniform(part.x)[0], shown.streams.uniform(shown.x)[4])
    assert part.ball(GRID, 0.2).radius.tolist() == pytest.approx([0.2, 0.2])
    each = part.ball(GRID, torch.tensor([0.1, 0.3]))
    assert each.radius.tolist() == pytest.approx([0.1, 0.3])
    assert torch.equal(each.center, part.x)
    wide = part.threat(Grid("l2", (1.0,), (-1.0, 1.0)), 1.0)
    assert (wide.norm.name, wide.domain) == ("l2", (-1.0, 1.0))
