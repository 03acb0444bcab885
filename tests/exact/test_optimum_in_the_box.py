"""Bounded attacks on linear models reach what the ball, the domain and the mask allow, in every norm."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medrobust.attacks import Attack, apgd, bim, cw_linf, ddn, fgsm, fmn, mi_fgsm, pgd, smallest, smallest_t
from medrobust.losses import margin
from medrobust.models.classifier import Classifier
from medrobust.norms import NORMS
from medrobust.objectives import adversarial
from medrobust.objectives.base import Batch
from medrobust.threat import Threat

SIDE = 8
KINDS = ("anywhere", "half at the edge", "black frame", "mask", "mask and half at the edge")
RADIUS = {"linf": 0.1, "l2": 1.0, "l1": 6.0}


class Linear(torch.nn.Module):
    """Two logits whose difference is w x."""

    def __init__(self) -> None:
        super().__init__()
        weight = torch.randn(SIDE**2, generator=torch.Generator().manual_seed(0))
        self.weight = torch.nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        z = x.flatten(1) @ self.weight
        return torch.stack([-z / 2, z / 2], 1)


def images(kind: str) -> tuple[Tensor, Tensor | None]:
    g = torch.Generator().manual_seed(1)
    x = torch.rand(6, 1, SIDE, SIDE, generator=g)
    if "half" in kind:
        edge = (torch.rand(x.shape, generator=g) < 0.5).float()
        x = torch.where(torch.rand(x.shape, generator=g) < 0.5, edge, x)
    if "frame" in kind:
        x[:, :, [0, 1, -2, -1]] = 0
        x[..., [0, -1]] = 0
    mask = torch.rand(1, 1, SIDE, SIDE, generator=g) < 0.4 if "mask" in kind else None
    return x, mask


def optimum(x: Tensor, mask: Tensor | None, norm: str, radius: float) -> Tensor:
    """(n,) the most that -w x can fall inside the ball, the domain and the mask: solved per norm, by hand."""
    w = -Linear().weight.detach().double()  # away from class 1: w x must fall
    flat = x.flatten(1).double()
    room = torch.where(w > 0, 1 - flat, flat)
    if mask is not None:
        room = room * mask.flatten(1)
    gain = w.abs()
    if norm == "linf":
        return (gain * room.clamp(max=radius)).sum(1)
    if norm == "l1":
        order = gain.argsort(descending=True)
        room = room[:, order]
        return (gain[order] * (radius - (room.cumsum(1) - room)).clamp(min=0).minimum(room)).sum(1)
    low, high = torch.zeros(len(x), 1).double(), torch.full((len(x), 1), 1e6).double()
    for _ in range(200):
        t = (low + high) / 2
        small = torch.minimum(t * gain, room).norm(dim=1, keepdim=True) <= radius
        low, high = torch.where(small, t, low), torch.where(small, high, t)
    return (torch.minimum(low * gain, room) * gain).sum(1)


def gained(x_adv: Tensor, x: Tensor) -> Tensor:
    return ((x - x_adv).flatten(1).double() @ Linear().weight.detach().double()).abs()


# 20 steps of the default length do not turn a random start in l2 and l1 as far.
BOUNDED: dict[str, tuple[Attack, tuple[str, ...]]] = {
    "fgsm": (fgsm(loss=margin), ("linf", "l2", "l1")),
    "bim": (bim(num_steps=20, relative_step_size=0.25, loss=margin), ("linf", "l2", "l1")),
    "pgd": (pgd(num_steps=20), ("linf",)),
    "pgd, 100 steps": (pgd(num_steps=100), ("linf", "l2", "l1")),
    "pgd from the image": (pgd(num_steps=20, random_start=False), ("linf", "l2", "l1")),
    "mi_fgsm": (mi_fgsm(num_steps=20, relative_step_size=0.25), ("linf", "l2", "l1")),
    "cw_linf": (cw_linf(num_steps=100), ("linf", "l2", "l1")),
    "apgd": (apgd(num_steps=100, loss=margin), ("linf", "l2", "l1")),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", BOUNDED)
def test_the_budget_is_used_as_far_as_pixels_can_go(name: str, norm: str, kind: str) -> None:
    attack, norms = BOUNDED[name]
    if norm not in norms:
        return
    (x, mask), model = images(kind), Linear().requires_grad_(False)
    # The label is class 1 whatever the model says: the search goes on to the last step.
    y = torch.ones(len(x), dtype=torch.long)
    threat = Threat(RADIUS[norm], norm, mask=mask)
    best = optimum(x, mask, norm, RADIUS[norm])
    reached = torch.zeros(len(x), dtype=torch.double)
    for point in attack.trajectory(model, x, y, threat, generator=0)[1]:
        reached = torch.maximum(reached, gained(point.x, x))
    assert bool((reached <= best * (1 + 1e-5)).all()), "farther than the ball allows"
    assert bool((best <= 1.02 * reached).all()), f"{(best / reached).max():.3f} times as much was possible"


MINIMAL: dict[str, Attack] = {
    "fmn": fmn(num_steps=200),
    "ddn": ddn(num_steps=400, gamma=0.01),
    "smallest": smallest(),
    "smallest_t": smallest_t(num_steps=50),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", MINIMAL)
def test_the_smallest_change_is_that_of_the_pixels_that_can_move(name: str, norm: str, kind: str) -> None:
    """The model answers 1 by as much as the optimum of a ball: that ball's radius is the smallest change."""
    attack = MINIMAL[name]
    if norm not in attack.abilities.norms:
        return
    x, mask = images(kind)
    net = Linear().requires_grad_(False)
    away = x.flatten(1) @ net.weight - optimum(x, mask, norm, RADIUS[norm]).float()
    for one in range(0, len(x), 2):

        def model(z: Tensor, one: int = one) -> Tensor:
            return net(z) - torch.stack([-away[one] / 2, away[one] / 2])

        label = torch.ones(1, dtype=torch.long)
        x_adv = attack(model, x[one : one + 1], label, Threat(norm=norm, mask=mask))
        assert model(x_adv).argmax(1).tolist() == [0]
        size = float(NORMS[norm].size(x_adv - x[one : one + 1]))
        assert RADIUS[norm] * (1 - 1e-3) <= size <= 1.02 * RADIUS[norm]


@pytest.mark.parametrize("kind", ["half at the edge", "black frame"])
@pytest.mark.parametrize("norm", NORMS)
def test_training_searches_as_far(norm: str, kind: str) -> None:
    x, mask = images(kind)
    model = Classifier(Linear(), channels=1)
    objective = adversarial(Threat(RADIUS[norm], norm), attack=pgd(num_steps=60, random_start=False))
    batch = Batch(x, torch.ones(len(x), dtype=torch.long), torch.arange(len(x)))
    found = objective.search(model, batch)
    best = optimum(x, mask, norm, RADIUS[norm])
    assert bool((best <= 1.02 * gained(found, x)).all())
