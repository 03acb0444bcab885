"""Where the checks of attacks happen: a model, images, a budget, and what a result is held to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..attacks.base import Attack
from ..goals import Goal
from ..losses import margin
from ..norms import NORMS
from ..streams import Streams
from ..threat import Threat
from .models import HEADS, TinyModel, images_of

SHAPES = {"signal": (2, 9), "image": (3, 4, 4), "volume": (1, 2, 3, 4)}


@dataclass(frozen=True, kw_only=True)
class AttackCase:
    """An attack and what it claims to do.

    Args:
        attack: called as `attack(model, x, y, threat, generator=...)`.
        norms: names of the norms that it supports.
        minimal: it looks for the smallest change when epsilon is inf. It must still respect a finite epsilon.
        randomized: its result depends on the generator.
        needs: what the model must give: "gradients", "scores" without gradients, or only "decisions".
        heads: names in `HEADS` that it supports.
    """

    attack: Attack
    norms: Sequence[str] = tuple(NORMS)
    minimal: bool = False
    randomized: bool = False
    needs: str = "gradients"
    heads: Sequence[str] = tuple(HEADS)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A model in eval mode, n images that it classifies correctly, a budget that is easy for a sound attack."""

    model: nn.Module
    x: Tensor
    y: Tensor
    threat: Threat
    streams: Streams

    def run(self, case: AttackCase, index: Tensor | None = None) -> Tensor:
        """The attack on the images at index."""
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
    """Images, model and a budget of 15 % of the largest possible change."""
    model = TinyModel(shape, HEADS[head], domain=domain).eval()
    x, y = images_of(model, shape, num_images, multi_label=head == "multi_label")
    full = torch.full_like(x[:1], domain[1] - domain[0])
    threat = Threat(epsilon=0.15 * float(NORMS[norm].size(full)), norm=NORMS[norm], domain=domain)
    return Setting(model=model, x=x, y=y, threat=threat, streams=Streams.of(0, range(num_images)))


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
    rounding = ball.norm.size(torch.full_like(x, unit).double()) + 1e-6 * ball.radius.nan_to_num(posinf=0)
    over = ball.distance(x_adv) - ball.radius - rounding
    assert bool((over <= 0).all()), f"{what}: outside the ball by {float(over.max()):.2g}"


def assert_equal_losses(given: Setting, one: Tensor, two: Tensor, what: str) -> None:
    """Two results are equally good. Pixels may differ by roundings, what the adversary gained must not."""
    a, b = given.loss(one), given.loss(two)
    gap = float((a - b).abs().max())
    assert gap <= 1e-3 * (1 + float(a.abs().max())), f"{what}: losses differ by {gap:.2g}"
