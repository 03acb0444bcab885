"""Attacks with a loop of their own take the images of a whole chunk, in batches of a limited size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from measuring.toys import image_set, small_net, subjects
from medrobust.attacks import autoattack, ddn, fab, pgd, restarts, square
from medrobust.attacks.base import Attack
from medrobust.engine.compact import answers, pieces
from medrobust.engine.count import Counted
from medrobust.goals import Goal
from medrobust.measuring import Plan, measure
from medrobust.measuring.bisect import bisect
from medrobust.measuring.outcome import Grid
from medrobust.measuring.search_model import SearchModel
from medrobust.measuring.sweep import Effort
from medrobust.streams import Streams
from medrobust.threat import Threat

GRID = Grid("linf", (0.005, 0.02, 0.05))
TWELVE = tuple(0.002 * 1.3**k for k in range(12))
OWN: dict[str, Attack] = {
    "autoattack": autoattack(num_steps=4, num_queries=12),
    "restarts": restarts(pgd(num_steps=3, random_start=True), 3),
    "square": square(num_queries=15),
    "fab": fab(num_steps=4),
    "ddn": ddn(num_steps=5),
}


@pytest.mark.parametrize("name", OWN)
def test_rows_do_not_depend_on_the_batch_size(name: str) -> None:
    """Images need different numbers of steps, so batches of other sizes deal them out in other ways."""
    model, images = small_net(), image_set(14, 3)
    tables = [
        measure(model, images, Plan({"a": OWN[name]}, (GRID,), batch_size=size, precision="float32"))[0].where()
        for size in (32, 5, 3)
    ]
    for table in tables[1:]:
        for column in ("image_id", "epsilon", "reached", "prediction", "forwards", "backwards"):
            assert list(table[column]) == list(tables[0][column])
        np.testing.assert_allclose(table["distance"], tables[0]["distance"], rtol=1e-4)


@dataclass(frozen=True)
class OneCallEach:
    """An attack that does not tell that it can take all images in one call."""

    attack: Attack

    @property
    def goal(self) -> Any:
        return self.attack.goal

    @property
    def abilities(self) -> Any:
        return replace(self.attack.abilities, batching=None)

    def __call__(self, model, x, y, threat, *, generator=None):
        return self.attack(model, x, y, threat, generator=generator)


@pytest.mark.parametrize("name", ["autoattack", "restarts"])
def test_asking_again_at_once_changes_batches_and_nothing_else(name: str) -> None:
    """Images that fall are asked at smaller budgets while the others wait: same outcome, fewer batches."""
    model, images = small_net(), image_set(14, 3)
    some, grid = subjects(model, torch.stack([images[i][0] for i in range(14)])), Grid("linf", TWELVE)
    outcomes, batches = [], []
    with model.frozen():
        for attack in (OWN[name], OneCallEach(OWN[name])):
            shown: list[int] = []
            fast = SearchModel(noting(model, shown), model)
            outcomes.append(bisect(attack, some, grid, fast, Effort(5)))
            batches.append(len(shown))
            assert max(shown) <= 5
    for field in ("reached", "prediction", "survives", "backwards"):
        assert torch.equal(getattr(outcomes[0], field), getattr(outcomes[1], field)), field
    # AutoAttack looks at the image itself once, not once at each budget.
    spared = outcomes[1].forwards - outcomes[0].forwards
    assert set(spared.unique().tolist()) == ({0, 1} if name == "autoattack" else {0})
    torch.testing.assert_close(outcomes[0].distance, outcomes[1].distance, rtol=1e-4, atol=0)
    assert batches[0] < batches[1] if name == "autoattack" else batches[0] <= batches[1]


def noting(model: Callable[[Tensor], Tensor], shown: list[int]) -> Callable[[Tensor], Tensor]:
    """The model, with a list of how many images it is shown at once."""

    def same(x: Tensor) -> Tensor:
        shown.append(len(x))
        return model(x)

    return same


def separable(shown: list[int]) -> Callable[[Tensor], Tensor]:
    """Two classes by the mean; notes how many images it is shown at once."""

    def model(x: Tensor) -> Tensor:
        shown.append(len(x))
        mean = x.flatten(1).mean(1)
        return torch.stack([0.5 - mean, mean - 0.5], 1)

    return model


def test_what_a_part_leaves_runs_in_full_batches() -> None:
    """Every second image falls to the first part: the others fill half as many batches, not half-empty ones."""
    shown: list[int] = []
    model, count, size = separable(shown), 16, 4
    near = torch.arange(count) % 2 == 0
    x = torch.where(near, 0.49, 0.1)[:, None, None, None].expand(count, 1, 4, 4).contiguous()
    y, threat = torch.zeros(count, dtype=torch.long), Threat(0.05)
    attack, streams = autoattack(num_steps=3, num_queries=40), Streams.of(0, range(count))
    whole = attack(Counted(model, count), x, y, threat, generator=streams)
    assert max(shown) == count
    shown.clear()
    counted = Counted(model, count)
    dealt = attack.abilities.batching(size)(counted, x, y, threat, generator=streams)
    assert max(shown) == size
    # Square and its check: of the 8 that stand, 4 and 4 at the image itself, at every query, and in the end.
    assert shown[-84:] == [size] * 84
    assert torch.equal(dealt, whole)
    assert Goal(y, False).reached(model(dealt)).tolist() == near.tolist()
    assert int(counted.forwards[1]) > int(counted.forwards[0]) > 0


def test_pieces_are_few_and_alike() -> None:
    assert pieces(torch.arange(0), 4) == ()
    assert [len(piece) for piece in pieces(torch.arange(10), 4)] == [4, 3, 3]
    assert [len(piece) for piece in pieces(torch.arange(10), None)] == [10]
    assert torch.cat(pieces(torch.arange(10), 3)).tolist() == list(range(10))


def test_answers_in_pieces_are_the_answers() -> None:
    shown: list[int] = []
    x = torch.rand(7, 1, 4, 4)
    model = Counted(separable(shown), 7)
    assert torch.equal(answers(model, x, 3), answers(separable([]), x))
    assert shown == [3, 2, 2]
    assert model.forwards.tolist() == [1] * 7
