"""Every budget on its own: as published, and without attacking again what is broken."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from measuring.toys import EPSILONS, exact_distance, image_set, linear, small_net, subjects
from medrobust.attacks import bim, fgsm, pgd
from medrobust.engine.abilities import Abilities
from medrobust.engine.keep import first_reached
from medrobust.engine.program import clean_goal
from medrobust.goals import Goal, targeted, untargeted
from medrobust.measuring.each_budget import each_budget
from medrobust.measuring.outcome import Grid

GRID = Grid("linf", EPSILONS)


@dataclass
class Watched:
    """An attack that writes down how many images it was shown at which budget, and what random numbers it had."""

    attack: object = field(default_factory=fgsm)
    shown: list[tuple[float, int]] = field(default_factory=list)
    drawn: list[Tensor] = field(default_factory=list)
    goal = staticmethod(untargeted)
    abilities = Abilities()

    def __call__(self, model, x, y, threat, *, generator=None):
        self.shown.append((float(threat.epsilon), len(x)))
        self.drawn.append(generator.uniform(torch.zeros(len(x), 1))[:, 0])
        return self.attack(model, x, y, threat, generator=generator)


def run(attack, honest: bool, n: int = 16):
    model, images = linear(), image_set(n)
    shown = subjects(model, torch.stack([images[i][0] for i in range(n)]))
    with model.frozen():
        outcome = each_budget(attack, shown, GRID, model, honest)
        exact = exact_distance(model, shown.x)
    return outcome, torch.tensor(EPSILONS).double()[None] >= exact[:, None]


def test_honest_attacks_what_still_stands_and_no_more() -> None:
    watched = Watched()
    outcome, expected = run(watched, honest=True)
    assert torch.equal(outcome.reached, expected)
    standing = [16, *(16 - expected[:, :-1].sum(0)).tolist()]
    assert watched.shown == [(e, n) for e, n in zip(EPSILONS, standing, strict=True) if n]
    assert torch.equal(outcome.backwards > 0, ~torch.cat([torch.zeros(16, 1).bool(), expected[:, :-1]], 1))
    smallest = outcome.distance[expected].min()
    assert float(smallest) <= EPSILONS[0] * (1 + 1e-9)


def test_as_published_every_image_is_attacked_at_every_budget() -> None:
    watched = Watched()
    outcome, expected = run(watched, honest=False)
    assert watched.shown == [(e, 16) for e in EPSILONS]
    assert torch.equal(outcome.reached, expected)
    assert bool((outcome.forwards == 1).all())
    assert bool((outcome.backwards == 1).all())
    assert torch.allclose(outcome.distance, torch.tensor(EPSILONS).double().expand(16, -1), rtol=1e-5)


def test_each_budget_has_random_numbers_of_its_own_and_each_image_keeps_them() -> None:
    watched, again = Watched(), Watched()
    run(watched, honest=False)
    run(again, honest=False, n=9)
    assert len({tuple(draw.tolist()) for draw in watched.drawn}) == len(EPSILONS)
    for many, few in zip(watched.drawn, again.drawn, strict=True):
        assert torch.equal(many[:9], few), "the numbers of an image depend on how many others there are"


@pytest.mark.parametrize("attack", [pgd(num_steps=5, keep=first_reached), bim(num_steps=5)])
def test_outcomes_hold_what_was_verified(attack) -> None:
    model, images = small_net(), image_set(12, 3)
    shown = subjects(model, torch.stack([images[i][0] for i in range(12)]))
    with model.frozen(), torch.no_grad():
        outcome = each_budget(attack, shown, GRID, model, True)
    assert bool((outcome.reached[:, 1:] >= outcome.reached[:, :-1]).all())
    assert torch.equal(outcome.reached, outcome.prediction != shown.y[:, None])
    assert torch.equal(outcome.prediction, outcome.logits.argmax(-1))
    assert bool((outcome.distance <= torch.tensor(EPSILONS).double()).all())


def test_a_targeted_attack_that_makes_another_error_has_made_an_error() -> None:
    """Three classes in a row along the brightness: on the way from 0 to 2 lies 1."""

    def model(x: Tensor) -> Tensor:
        z = 10 * x.flatten(1).mean(1)
        return torch.stack([-z, z - 10.2, 3 * z - 34], 1)

    x = torch.full((1, 1, 4, 4), 0.5)
    attack = bim(num_steps=5, goal=targeted(2))
    shown = subjects(small_net(), x)
    goal = clean_goal(attack.goal, model, x, torch.tensor([0]))
    shown = shown._replace(y=torch.tensor([0]), goal=goal, logits=model(x))
    assert shown.logits.argmax(1).tolist() == [0]
    grid = Grid("linf", (0.05, 0.4, 0.5))
    outcome = each_budget(attack, shown, grid, model, honest=True)
    assert outcome.prediction.tolist() == [[1, 1, 1]]
    paper = each_budget(attack, shown, grid, model, honest=False)
    assert paper.prediction.tolist() == [[1, 1, 1]]
    assert not bool(paper.reached.any()), "the goal itself is not reached"
    assert Goal(torch.tensor([2]), True).reached(model(torch.ones(1, 1, 2, 2))).tolist() == [False]
