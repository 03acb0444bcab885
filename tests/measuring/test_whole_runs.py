"""Every "not broken" of a sweep rests on a whole run of the attack: hard landscapes, against the attack run plainly."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from measuring.toys import of_bits
from medrobust.attacks import Attack, hop_skip_jump, pgd, restarts, smallest_epsilon, square
from medrobust.attacks.honest import honest
from medrobust.engine.keep import first_reached
from medrobust.goals import Goal
from medrobust.measuring.bisect import bisect
from medrobust.measuring.each_budget import each_budget
from medrobust.measuring.outcome import Grid
from medrobust.measuring.search_model import SearchModel
from medrobust.measuring.subjects import Subjects
from medrobust.measuring.sweep import Effort, sweep
from medrobust.streams import Streams
from medrobust.threat import Threat

EPSILONS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08)
HEADS: dict[str, Callable[[Tensor], Tensor]] = {
    "bends": torch.relu,
    "rises late": lambda h: torch.relu(h) ** 3,
    "saturates": lambda h: torch.tanh(3 * h),
    "waves": lambda h: torch.sin(3 * h),
}


def network(kind: str) -> Callable[[Tensor], Tensor]:
    g = torch.Generator().manual_seed(5)
    # In double precision: where tanh is flat, the rounding of single precision decides which way a step goes.
    first, bias, last = (torch.randn(*size, generator=g).double() for size in ((64, 40), (40,), (40, 2)))
    first = first * 0.75
    act = HEADS[kind]

    def logits(x: Tensor) -> Tensor:
        out = act((x.flatten(1) - 0.5) @ first + bias) @ last
        return torch.tanh(4 * out) if kind == "saturates" else out

    return logits


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize(("num_steps", "relative"), [(20, None), (40, 0.05)])
def test_a_sweep_is_as_strong_as_its_attack(kind: str, num_steps: int, relative: float | None) -> None:
    model, attack = network(kind), pgd(num_steps=num_steps, relative_step_size=relative)
    x = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    logits = model(x)
    y = logits.argmax(1)
    shown = Subjects(x, y, Goal(y, False), logits, of_bits([8] * 64), Streams.of(0, range(64)))
    outcome = sweep(attack, shown, Grid("linf", EPSILONS), SearchModel(model, model), Effort())
    plain = torch.zeros(64, len(EPSILONS), dtype=torch.bool)
    for j, epsilon in enumerate(EPSILONS):
        for point in attack.trajectory(model, x, y, Threat(epsilon), generator=shown.streams.child(j))[1]:
            plain[:, j] |= point.score.reached
    # Where the plain attack fails at one budget and wins at a smaller one, both are its own answers.
    last_failed = torch.where(outcome.reached, -1, torch.arange(len(EPSILONS))).amax(1)
    failed = last_failed >= 0
    assert not bool(plain[failed, last_failed[failed]].any())
    assert bool((outcome.reached.sum(0) >= plain.cummax(1).values.sum(0) - 1).all())


def deaf(model: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A copy on which no attack ever wins: the first class is ahead by far, by a number that has no gradient."""

    far = torch.tensor([100.0, 0.0])
    return lambda x: model(x) + far


@pytest.mark.parametrize("attack", [restarts(pgd(num_steps=8), 2), square(num_queries=60)], ids=["restarts", "square"])
def test_no_failure_rests_on_the_copy_that_searches(attack: Attack) -> None:
    """Images of class 0, and a copy that answers 0 whatever happens: bisection finds what every budget alone finds."""
    model, kept = network("bends"), honest(attack)
    x = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    x = x[model(x).argmax(1) == 0][:20]
    logits, y = model(x), torch.zeros(20, dtype=torch.long)
    shown = Subjects(x, y, Goal(y, False), logits, of_bits([8] * 20), Streams.of(0, range(20)))
    grid = Grid("linf", EPSILONS)
    found = bisect(kept, shown, grid, SearchModel(model, deaf(model)), Effort())
    alone = each_budget(kept, shown, grid, model, honest=True)
    assert 0 < int(alone.reached[:, 2].sum()) < 20 or 0 < int(alone.reached[:, 4].sum()) < 20
    assert bool((found.reached.sum(0) >= alone.reached.sum(0) - 1).all())


def test_a_sweep_does_not_believe_a_deaf_copy() -> None:
    """The classifier wins the failures that came nearest, so it is asked about more of them, until it wins none."""
    model, attack = network("bends"), honest(pgd(num_steps=8))
    x = torch.rand(128, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    x = x[model(x).argmax(1) == 0][:40]
    logits, y = model(x), torch.zeros(40, dtype=torch.long)
    shown = Subjects(x, y, Goal(y, False), logits, of_bits([8] * 40), Streams.of(0, range(40)))
    grid = Grid("linf", EPSILONS)
    found = sweep(attack, shown, grid, SearchModel(model, deaf(model)), Effort())
    alone = each_budget(attack, shown, grid, model, honest=True)
    assert 5 < int(alone.reached[:, 2].sum()) < 40 or 5 < int(alone.reached[:, 4].sum()) < 40
    assert bool((found.reached.sum(0) >= alone.reached.sum(0) - 1).all())


def test_a_search_that_asks_for_decisions_serves_smaller_budgets_too() -> None:
    """One run at the largest budget does not end there, for the smaller ones rest on it."""
    weight = torch.linspace(0.5, 1.5, 16)

    def model(x: Tensor) -> Tensor:
        z = (x.flatten(1) - 0.5) @ weight
        return torch.stack([-z, z - 0.32], 1)  # z = .16: at a change of .01 in all pixels

    x, y = torch.full((4, 1, 4, 4), 0.5), torch.zeros(4, dtype=torch.long)
    shown = Subjects(x, y, Goal(y, False), model(x), of_bits([8] * 4), Streams.of(0, range(4)))
    grid = Grid("linf", (0.005, 0.015, 0.1, 0.3))
    attack = hop_skip_jump(num_queries=2000)
    outcome = bisect(attack, shown, grid, SearchModel(model, model), Effort())
    assert outcome.reached.tolist() == [[False, True, True, True]] * 4


def test_a_short_bisection_has_tried_the_whole_budget() -> None:
    model = network("bends")
    x = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    y = model(x).argmax(1)
    attack = pgd(num_steps=8, random_start=False, keep=first_reached)
    threat = Threat(torch.full((64,), 0.05, dtype=torch.float64))
    plain = model(attack(model, x, y, threat)).argmax(1) != y
    short = model(smallest_epsilon(attack, 2)(model, x, y, threat)).argmax(1) != y
    assert 5 < int(plain.sum()) < 64
    assert bool((short | ~plain).all())
