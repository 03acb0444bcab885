"""Where the checks of attacks happen: a model, images, a budget, and what a result is held to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..attacks.base import Attack
from ..engine.abilities import Abilities
from ..goals import Goal
from ..losses import margin
from ..norms import as_norm
from ..streams import Streams
from ..threat import Threat
from .models import HEADS, TinyModel, images_of

SHAPES = {"signal": (2, 9), "image": (3, 4, 4), "volume": (1, 2, 3, 4)}
SEVERE = 3.0  # budget in a family of corruptions


@dataclass(frozen=True, kw_only=True)
class AttackCase:
    """An attack, which says itself what it is and needs (see medrobust.engine.abilities), and the heads it works with.

    Args:
        attack: called as `attack(model, x, y, threat, generator=...)`.
        heads: names in `HEADS` that it supports.
        shapes: names in `SHAPES` that it supports.
    """

    attack: Attack
    heads: Sequence[str] = tuple(HEADS)
    shapes: Sequence[str] = tuple(SHAPES)

    @property
    def said(self) -> Abilities:
        """What the attack says of itself."""
        return self.attack.abilities

    @property
    def norms(self) -> Sequence[str]:
        """The names of the norms that it is made for."""
        return self.said.norms


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A model in eval mode, n images that it classifies correctly, a budget that is easy for a sound attack."""

    model: nn.Module
    x: Tensor
    y: Tensor
    threat: Threat
    streams: Streams

    def run(self, case: AttackCase, index: Tensor | None = None) -> Tensor:
        """x_adv of the images at index (m,), of all by default."""
        at = torch.arange(len(self.x)) if index is None else index
        threat = self.threat
        if isinstance(threat.epsilon, Tensor) and threat.epsilon.ndim:
            threat = replace(threat, epsilon=threat.epsilon[at])
        return case.attack(self.model, self.x[at], self.y[at], threat, generator=self.streams[at])

    def loss(self, x: Tensor) -> Tensor:
        """(n,) how far each image is on the wrong side."""
        with torch.no_grad():
            return margin(self.model(x), Goal(self.y, False))


def setting(
    norm: str,
    head: str = "five_classes",
    shape: Sequence[int] = SHAPES["image"],
    domain: tuple[float, float] = (0.0, 1.0),
    num_images: int = 8,
) -> Setting:
    """Images, model and a budget of 15 % of the largest possible change; of a family of corruptions a severity."""
    model = TinyModel(shape, HEADS[head], domain=domain).eval()
    x, y = images_of(model, shape, num_images, multi_label=head == "multi_label")
    measured, full = as_norm(norm), torch.full_like(x[:1], domain[1] - domain[0])
    epsilon = 0.15 * float(measured.size(full)) if measured.has_slope else SEVERE
    threat = Threat(epsilon=epsilon, norm=measured, domain=domain)
    return Setting(model=model, x=x, y=y, threat=threat, streams=Streams.of(0, range(num_images)))


class _Slope(nn.Module):
    """Class 0 by far, and a margin that falls the same way everywhere: a search goes as far as it can."""

    def __init__(self, num_pixels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(1, 2, num_pixels) / num_pixels)

    def forward(self, x: Tensor) -> Tensor:
        rise = x.flatten(1) @ self.weight
        return torch.stack([20 - rise, rise], 1)


def endless(norm: str) -> Setting:
    """A model that no small change misleads, on a domain that no step leaves."""
    shape = SHAPES["image"]
    x = torch.zeros(2, *shape)
    threat = Threat(norm=as_norm(norm), domain=(-1e6, 1e6))
    model = _Slope(x[0].numel()).eval()
    return Setting(model=model, x=x, y=torch.zeros(2, dtype=torch.long), threat=threat, streams=Streams.of(0, range(2)))


def assert_inside(given: Setting, x_adv: Tensor, what: str) -> None:
    """x_adv is an image like x, in the domain exactly, and in the ball up to the rounding of its pixels to float32."""
    x, (low, high) = given.x, given.threat.domain
    assert x_adv.shape == x.shape, f"{what}: shape {tuple(x_adv.shape)} instead of {tuple(x.shape)}"
    assert x_adv.dtype == x.dtype, f"{what}: {x_adv.dtype} instead of {x.dtype}"
    assert not x_adv.requires_grad, f"{what}: the result still belongs to a graph"
    assert bool(torch.isfinite(x_adv).all()), f"{what}: not finite"
    assert bool(((x_adv >= low) & (x_adv <= high)).all()), f"{what}: a pixel is outside the domain"
    ball = given.threat.around(x)
    unit = max(abs(low), abs(high)) * torch.finfo(x.dtype).eps
    rounding = 1e-6 * ball.radius.nan_to_num(posinf=0)
    if ball.norm.has_slope:
        rounding = rounding + ball.norm.size(torch.full_like(x, unit).double())
    over = ball.distance(x_adv) - ball.radius - rounding
    assert bool((over <= 0).all()), f"{what}: outside the ball by {float(over.max()):.2g}"


def assert_equal_losses(given: Setting, one: Tensor, two: Tensor, what: str) -> None:
    """Two results are equally good: pixels may differ by roundings, but what the adversary gained must not."""
    a, b = given.loss(one), given.loss(two)
    gap = float((a - b).abs().max())
    assert gap <= 1e-3 * (1 + float(a.abs().max())), f"{what}: losses differ by {gap:.2g}"
