"""Small classifiers trained on the phantom, and what defective ones are made of. Seconds each, kept in the process."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from medrobust.attacks import pgd
from medrobust.data import ImageSet, View, open_images
from medrobust.models.drop_max import DropMax
from medrobust.threat import Threat

SIDE, COUNT = 32, 600


@lru_cache(maxsize=8)
def phantom(part: str, modality: str = "ultrasound", color: str = "grey") -> ImageSet:
    """A part of the phantom."""
    name = f"phantom:{modality}@{SIDE},count={COUNT}"
    return open_images(name, view=View(SIDE, color), split=part)


def pixels(images: ImageSet) -> tuple[Tensor, Tensor]:
    """All images (n, c, h, w) and labels."""
    batch = images.batch(range(len(images)))
    return batch.x, batch.y


def convolutions(
    channels: int = 1, classes: int = 2, norm: bool = True, pool: Callable[[], nn.Module] | None = None
) -> nn.Module:
    """Three convolutions, each with a pooling, and a linear layer on 64 features."""
    layers: list[nn.Module] = []
    for before, after in ((channels, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after) if norm else nn.Identity(), nn.ReLU()]
        layers += [pool() if pool else nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))


def fitted(network: nn.Module, x: Tensor, y: Tensor, *, epochs: int = 12, epsilon: float = 0.0) -> nn.Module:
    """Trained with Adam, with epsilon against PGD of five steps; in evaluation mode."""
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=epochs * -(-len(x) // 32))
    attack = pgd(num_steps=5, relative_step_size=0.4)
    for _ in range(epochs):
        for at in torch.randperm(len(x)).split(32):
            seen, truth = x[at], y[at]
            if epsilon:
                network.eval().requires_grad_(False)
                seen = attack(network, seen, truth, Threat(epsilon))
                network.train().requires_grad_(True)
            network.train()
            out = network(seen)
            loss = (
                nn.functional.binary_cross_entropy_with_logits(out[:, 0], truth.float())
                if out.shape[1] == 1
                else nn.functional.cross_entropy(out, truth)
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


class Tokens(nn.Module):
    """A small vision transformer: patches of 8 pixels, two blocks, a class token."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 32, 8, 8)
        self.token, self.place = nn.Parameter(torch.zeros(1, 1, 32)), nn.Parameter(torch.zeros(1, 17, 32))
        block = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], 1) + self.place
        return self.head(self.blocks(tokens)[:, 0])


def _make(kind: str) -> nn.Module:
    x, y = pixels(phantom("train"))
    if kind == "adversarial":
        return fitted(convolutions(), x, y, epochs=10, epsilon=3 / 255)
    if kind == "drop-max":
        return fitted(convolutions(pool=lambda: DropMax(2)), x, y)
    if kind == "one logit":
        return fitted(convolutions(classes=1), x, y)
    if kind == "no batch norm":
        return fitted(convolutions(norm=False), x, y, epochs=20)
    if kind == "tokens":
        return fitted(Tokens(), x, y, epochs=25)
    if kind == "color":
        return fitted(convolutions(3), *pixels(phantom("train", "dermoscopy", "rgb")))
    if kind == "four classes":
        return fitted(convolutions(classes=4), *quarters("train"))
    return fitted(convolutions(), x, y)


@lru_cache(maxsize=16)
def _kept(kind: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return _make(kind)


def trained(kind: str = "standard") -> nn.Module:
    """A copy of a trained network of this kind."""
    return copy.deepcopy(_kept(kind))


def quarters(part: str) -> tuple[Tensor, Tensor]:
    """Four classes: the two of the phantom, upright and lying on the side."""
    x, y = pixels(phantom(part))
    turned = torch.arange(len(x)) % 2 == 1
    mark = x.clone()
    mark[turned] = 1 - mark[turned]
    return mark, y + 2 * turned.long()


class Around(nn.Module):
    """A network with something before and behind it."""

    def __init__(self, network: nn.Module, before: Any = None, behind: Any = None) -> None:
        super().__init__()
        self.network, self.before, self.behind = network, before, behind

    def forward(self, x: Tensor) -> Tensor:
        out = self.network(self.before(x) if self.before else x)
        return self.behind(out) if self.behind else out


class Straight(torch.autograd.Function):
    """forward as a function of x, backward as another of the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, there: Any, back: Any) -> Tensor:
        ctx.back = back
        return there(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return ctx.back(grad), None, None
