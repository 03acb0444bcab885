"""A small network, a few images, and an attack of one's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import medrobust as mr
from medrobust.engine.abilities import Abilities

SIDE = 6


def network(channels: int = 1, outputs: int = 2, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * (SIDE - 2) ** 2, outputs))


def pictures(n: int) -> tuple[Tensor, Tensor]:
    """Images of noise, none of whose values is a grey level of 8 bits, and labels in turn."""
    return torch.rand(n, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1)), torch.arange(n) % 2


class OwnAttack:
    """An attack as somebody else writes one: no dataclass, a parameter, its abilities."""

    goal = staticmethod(mr.goals.untargeted)
    abilities = Abilities(norms=("linf",))

    def __init__(self, num_steps: int = 1) -> None:
        self.num_steps = num_steps

    def __call__(self, model, x, y, threat, *, generator=None) -> Tensor:
        return mr.attacks.bim(num_steps=self.num_steps)(model, x, y, threat)
