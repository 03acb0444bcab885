"""What must be equal, exactly or to rounding."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from medrobust.attacks import pgd
from medrobust.objectives import (
    Adversarial,
    Amat,
    Awp,
    Clean,
    Constant,
    Dpaat,
    Fast,
    GradientRegularized,
    LocallyLinear,
    Mart,
    Mirst,
    Rst,
    Trades,
    TrainingObjective,
)
from medrobust.testing.objectives import smooth_toy
from medrobust.threat import Threat

THREAT = Threat(epsilon=0.1)
STILL = pgd(num_steps=10, relative_step_size=0.1, random_start=False)


def value(objective: TrainingObjective) -> Tensor:
    return objective(*smooth_toy()).total


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Adversarial(Threat(epsilon=0.0)), Clean()),
        (Adversarial(THREAT, clean_weight=1.0), Clean()),
        (Trades(THREAT, beta=0.0), Clean()),
        (GradientRegularized(weight=0.0), Clean()),
        (Mirst(THREAT, attack=STILL, instances=[11], weights=[1.0]), Rst(THREAT, attack=STILL)),
        (Dpaat(THREAT, adaptation=0.0, synchronization=0.0), Adversarial(THREAT, clean_weight=0.5)),
        (Adversarial(THREAT, epsilon=Constant(0.1)), Adversarial(THREAT)),
        (Amat(THREAT, num_images=6), Adversarial(THREAT, clean_weight=0.5)),  # before it has learned anything
        (Awp(Trades(THREAT), gamma=0.0), Trades(THREAT)),
        (Awp(Trades(THREAT), gamma=0.1, warm_up=1), Trades(THREAT)),
        (
            Fast(THREAT, kind="grad_align", align_weight=0.0),
            Adversarial(THREAT, attack=pgd(num_steps=1, relative_step_size=1.0, random_start=False)),
        ),
        (Mirst(THREAT, attack=STILL, alpha=0.0), Clean()),
    ],
    ids=lambda objective: type(objective).__name__,
)
def test_equal_exactly(one: TrainingObjective, other: TrainingObjective) -> None:
    torch.testing.assert_close(value(one), value(other), rtol=1e-12, atol=0)


def test_equal_to_rounding() -> None:
    torch.testing.assert_close(value(Rst(THREAT)), 2 * value(Adversarial(THREAT, clean_weight=0.5)))
    torch.testing.assert_close(value(LocallyLinear(THREAT, linearity=0.0, gradient=0.0)), value(Clean()))
    both = value(Dpaat(THREAT, adaptation=0.0)) + value(Dpaat(THREAT, adaptation=0.0, as_printed=True))
    sat = value(Adversarial(THREAT, clean_weight=0.5))
    torch.testing.assert_close(both, 2 * sat + torch.log(torch.tensor(2.0, dtype=both.dtype)))


def test_mart_without_its_second_term_is_the_boosted_loss() -> None:
    """For two classes -log p_y - log(1 - p_other) is twice the cross-entropy."""
    model, batch = smooth_toy(num_classes=2)
    doubled = 2 * Adversarial(THREAT)(model, batch).total
    torch.testing.assert_close(Mart(THREAT, weight=0.0)(model, batch).total, doubled)


def test_awp_takes_the_gradient_at_the_moved_weights_and_moves_back() -> None:
    model, batch = smooth_toy()
    inner, gamma = Adversarial(THREAT), 0.05
    found = inner.search(model, batch)
    moved = copy.deepcopy(model)
    weights = [p for p in moved.parameters() if p.ndim > 1]
    slopes = torch.autograd.grad(inner.loss(moved, batch, found).total, weights)
    with torch.no_grad():
        for w, s in zip(weights, slopes, strict=True):
            w.add_(gamma * w.norm() / s.norm() * s)
    expected = inner.loss(moved, batch, found).total
    expected.backward()
    before = copy.deepcopy(model.state_dict())
    awp = Awp(inner, gamma=gamma)
    total = awp(model, batch).total
    total.backward()
    awp.after_backward()
    torch.testing.assert_close(total, expected)
    assert total > inner.loss(model, batch, found).total
    for p, q in zip(model.parameters(), moved.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
