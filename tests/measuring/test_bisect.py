"""Attacks with a loop of their own: a minimal one runs once for all budgets, a bounded one bisects image by image."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from measuring.toys import exact_distance, image_set, linear, small_net, subjects
from medrobust.attacks import (
    autoattack,
    cw_l2,
    cw_linf_min,
    ddn,
    deepfool,
    fab,
    fab_t,
    fmn,
    hop_skip_jump,
    lbfgs,
    pgd,
    smallest,
    smallest_epsilon,
    square,
)
from medrobust.attacks.base import Attack
from medrobust.engine.count import Counted
from medrobust.measuring import Plan, measure
from medrobust.measuring.bisect import bisect
from medrobust.measuring.each_budget import each_budget
from medrobust.measuring.outcome import Grid
from medrobust.measuring.search_model import SearchModel
from medrobust.measuring.sweep import Effort
from medrobust.streams import Streams

TEN = {
    "linf": tuple(0.01 * 1.4**k for k in range(10)),
    "l2": tuple(0.05 * 1.4**k for k in range(10)),
}
MINIMAL: dict[str, tuple[Attack, str]] = {
    "deepfool": (deepfool(), "linf"),
    "fab": (fab(num_steps=6), "linf"),
    "fab, restarted": (fab(num_steps=4, num_restarts=2), "l2"),
    "fab_t": (fab_t(num_steps=6), "linf"),
    "cw_l2": (cw_l2(num_steps=8), "l2"),
    "cw_linf_min": (cw_linf_min(num_steps=20, num_inner=5), "linf"),
    "lbfgs": (lbfgs(num_steps=6), "l2"),
    "ddn": (ddn(num_steps=8), "l2"),
    "fmn": (fmn(num_steps=8), "linf"),
    "smallest": (smallest(num_steps=8), "linf"),
    "hop_skip_jump": (hop_skip_jump(num_queries=150, num_directions=10), "l2"),
    "smallest_epsilon": (smallest_epsilon(pgd(num_steps=4), 4), "linf"),
}


@dataclass
class Watched:
    """An attack, and how often it was called with which budgets."""

    attack: Attack
    calls: list[Tensor] = field(default_factory=list)

    @property
    def goal(self) -> Any:
        return self.attack.goal

    @property
    def abilities(self) -> Any:
        return replace(self.attack.abilities, batching=None)  # every call comes here

    def __call__(self, model, x, y, threat, *, generator=None):
        self.calls.append(torch.as_tensor(threat.epsilon).expand(len(x)).clone())
        return self.attack(model, x, y, threat, generator=generator)


def shown(n: int = 10):
    model, images = small_net(), image_set(n, 3)
    return model, subjects(model, torch.stack([images[i][0] for i in range(n)]))


@pytest.mark.parametrize("name", MINIMAL)
def test_a_minimal_attack_costs_one_run_whatever_the_number_of_budgets(name: str) -> None:
    attack, norm = MINIMAL[name]
    assert attack.abilities.kind == "minimal"
    model, some = shown()
    grid, watched = Grid(norm, TEN[norm]), Watched(attack)
    with model.frozen():
        outcome = bisect(watched, some, grid, SearchModel(model, model), Effort())
        counted = Counted(model, len(some.x))
        threat = some.threat(grid, grid.epsilons[-1])
        streams = some.streams.child(torch.full((10,), len(TEN[norm]) - 1))
        attack(counted, some.x, some.y, threat, generator=streams)
    assert len(watched.calls) == 1
    assert watched.calls[0].tolist() == pytest.approx([grid.epsilons[-1]] * 10)
    assert outcome.forwards.sum(1).tolist() == counted.forwards.tolist()
    assert outcome.backwards.sum(1).tolist() == counted.backwards.tolist()
    assert int(counted.forwards.min()) > 0


@pytest.mark.parametrize("name", ["deepfool", "cw_l2", "smallest_epsilon"])
def test_rows_of_a_minimal_attack_say_what_one_run_cost(name: str) -> None:
    attack, norm = MINIMAL[name]
    images, model = image_set(10, 3), small_net()
    costs = [
        measure(model, images, Plan({"a": attack}, (Grid(norm, budgets),)))[1]
        for budgets in (TEN[norm], TEN[norm][-1:])
    ]
    assert costs[0]["backwards"] == costs[1]["backwards"] > 0
    assert costs[0]["forwards"] == costs[1]["forwards"]


def test_one_run_of_a_minimal_attack_answers_every_budget() -> None:
    """On a linear model deepfool goes 2 % beyond the boundary: the budget that it needs is known."""
    model, images = linear(), image_set(16)
    some = subjects(model, torch.stack([images[i][0] for i in range(16)]))
    grid = Grid("linf", TEN["linf"])
    with model.frozen():
        outcome = bisect(deepfool(), some, grid, SearchModel(model, model), Effort())
    needed = 1.02 * exact_distance(model, some.x).detach()
    budgets = grid.radii[None]
    clear = ((budgets / needed[:, None]) - 1).abs() > 1e-3
    assert torch.equal(outcome.reached[clear], (budgets >= needed[:, None])[clear])
    assert bool((outcome.distance <= budgets).all())


def test_bisection_asks_no_more_than_the_logarithm() -> None:
    model, images = linear(), image_set(12)
    some = subjects(model, torch.stack([images[i][0] for i in range(12)]))
    grid, watched = Grid("linf", tuple(0.004 * 1.2**k for k in range(15))), Watched(square(num_queries=150))
    with model.frozen():
        outcome = bisect(watched, some, grid, SearchModel(model, model), Effort())
        full = each_budget(square(num_queries=150), some, grid, model, honest=True)
    assert len(watched.calls) == math.ceil(math.log2(16))
    assert len(watched.calls[0]) == 12
    assert float((outcome.reached == full.reached).float().mean()) > 0.95
    assert bool((outcome.reached[:, 1:] >= outcome.reached[:, :-1]).all())


def test_a_nearer_point_closes_several_budgets() -> None:
    """A point that an attack found well inside its budget counts for every budget that it fits."""
    model, images = linear(), image_set(8)
    some = subjects(model, torch.stack([images[i][0] for i in range(8)]))
    near = Watched(_Near())
    grid = Grid("linf", tuple(0.004 * 1.2**k for k in range(15)))
    with model.frozen():
        outcome = bisect(near, some, grid, SearchModel(model, model), Effort())
    exact = exact_distance(model, some.x)
    # Of 15 budgets, halving alone takes four questions for each image.
    assert sum(map(len, near.calls)) < 4 * 8
    assert torch.equal(outcome.reached, grid.radii[None] >= 1.001 * exact[:, None])


class _Near:
    """Bounded, and goes just beyond the boundary of a linear model, if its budget allows."""

    goal = staticmethod(pgd().goal)
    abilities = square().abilities

    def __call__(self, model, x, y, threat, *, generator=None):
        net = model.model if isinstance(model, Counted) else model
        layer = net.network[1]
        w = layer.weight[1] - layer.weight[0]
        direction = torch.where(y == 0, 1.0, -1.0)[:, None] * w.sign()[None]
        size = (1.0005 * exact_distance(net, x)).float()[:, None]
        epsilon = torch.as_tensor(threat.epsilon).reshape(-1, 1)
        moved = torch.where(size <= epsilon, size, 0)
        return x + (moved * direction).reshape(x.shape)


def test_random_numbers_of_a_budget_do_not_depend_on_the_way_to_it() -> None:
    """An image gets the same streams at a budget whatever the others are asked."""
    drawn: dict[tuple[int, float], float] = {}

    class Draws(_Near):
        def __call__(self, model, x, y, threat, *, generator=None):
            value = generator.uniform(torch.zeros(len(x), 1))[:, 0]
            for i, v in enumerate(value.tolist()):
                key = (int(x[i].sum() * 1e5), round(float(torch.as_tensor(threat.epsilon).expand(len(x))[i]), 6))
                assert drawn.setdefault(key, v) == v
            return super().__call__(model, x, y, threat)

    model, images = linear(), image_set(8)
    x = torch.stack([images[i][0] for i in range(8)])
    grid = Grid("linf", tuple(0.004 * 1.2**k for k in range(15)))
    with model.frozen():
        bisect(Draws(), subjects(model, x), grid, SearchModel(model, model), Effort())
        asked = len(drawn)
        alone = subjects(model, x[3:4])._replace(streams=Streams.of(0, [3]))
        bisect(Draws(), alone, grid, SearchModel(model, model), Effort())
    assert len(drawn) == asked > 8


def test_a_set_of_attacks_begins_where_its_scout_ended() -> None:
    model, some = shown()
    grid, attack = Grid("linf", TEN["linf"]), autoattack(num_steps=5, num_queries=20)
    assert attack.abilities.scout is not None
    watched = Watched(attack)
    with model.frozen():
        outcome = bisect(watched, some, grid, SearchModel(model, model), Effort())
    high = torch.where(outcome.reached.any(1), outcome.reached.int().argmax(1), len(TEN["linf"]))
    first = watched.calls[0]
    assert bool((first <= grid.radii.max()).all())
    assert float(first.mean()) < float(grid.radii.max()), "begins at the largest budget"
    assert bool((outcome.distance <= grid.radii).all())
    assert int((high < len(TEN["linf"])).sum()) > 0
