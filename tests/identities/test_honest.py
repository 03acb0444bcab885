"""What protocol honest runs in place of a published attack, and what combinators hand on to the attacks inside them."""

from __future__ import annotations

import torch
from torch import Tensor

from medrobust.attacks import bim, pgd, restarts, smallest_epsilon, square, worst_case
from medrobust.attacks.combine import select
from medrobust.attacks.honest import honest
from medrobust.goals import Goal
from medrobust.threat import Threat

X, Y = torch.full((2, 1, 2, 2), 0.5), torch.zeros(2, dtype=torch.long)
THREAT = Threat(epsilon=0.2)


def hill(x: Tensor) -> Tensor:
    """Class 1 only where the mean is between 0.53 and 0.65, and steeper the brighter: a climb of steps passes it."""
    mean = x.flatten(1).mean(1)
    other = torch.where(mean < 0.65, mean - 0.53, mean - 2.0)
    return torch.stack([torch.zeros_like(other), other], 1)


def won(x_adv: Tensor) -> Tensor:
    return Goal(Y, False).reached(hill(x_adv))


def test_what_is_won_on_the_way_is_kept() -> None:
    attack = bim(num_steps=4)
    for published in (attack, restarts(attack, 2), worst_case([attack, attack])):
        assert not bool(won(published(hill, X, Y, THREAT)).any())
        assert bool(won(honest(published)(hill, X, Y, THREAT)).all())


def test_a_bisection_over_budgets_keeps_it_too() -> None:
    kept = honest(smallest_epsilon(bim(num_steps=4), 3))
    assert bool(won(kept.attack(hill, X, Y, THREAT)).all())


def test_a_set_of_attacks_needs_what_any_of_them_needs() -> None:
    said = worst_case([square(), pgd()]).abilities
    assert (said.needs, said.randomized) == ("gradients", True)
    assert not worst_case([bim(), bim()]).abilities.randomized
    assert not worst_case([bim(), honest(square())]).abilities.steady


def test_the_threat_of_some_samples_has_their_masks_and_budgets() -> None:
    """Four images of 4 x 4 pixels: a mask of the image has as many rows as the batch has images."""
    x, index = torch.rand(4, 1, 4, 4), torch.tensor([2])
    epsilon = torch.tensor([0.1, 0.2, 0.3, 0.4])
    shared, own = torch.rand(4, 4) > 0.5, torch.rand(4, 1, 4, 4) > 0.5
    part = select(Threat(epsilon=epsilon, mask=shared), index, x)
    assert torch.equal(part.mask, shared)
    assert part.epsilon.tolist() == epsilon[index].tolist()
    assert torch.equal(select(Threat(epsilon=0.1, mask=own), index, x).mask, own[index])
