"""Linear classifiers whose smallest adversarial change is known in closed form.

With the difference of two logits equal to w . x + b, the distance of x from the boundary is |w . x + b| / ||w||_dual:
the sum of |w| for linf, the Euclidean length for l2, the largest |w| for l1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from medrobust.norms import NORMS

# (channels, *spatial): signals, images, volumes.
SHAPES = {"1-D": (2, 12), "2-D": (3, 4, 4), "3-D": (1, 3, 4, 4)}
HEADS = ("one_logit", "two_logit", "five_classes")
# Distances of the six images, well inside the domain of images between 0.3 and 0.7.
DISTANCES = {"linf": (0.01, 0.06), "l2": (0.05, 0.3), "l1": (0.05, 0.25)}


@dataclass(frozen=True)
class Problem:
    """model, images x (6, ...), labels y, and the closed-form distance (6,) of each in one norm."""

    model: Callable[[Tensor], Tensor]
    x: Tensor
    y: Tensor
    distance: Tensor


def _weights(dim: int, generator: torch.Generator) -> Tensor:
    # No weight near 0, whose sign roundings could turn, and one clearly largest, where the l1 optimum puts all.
    w = torch.rand(dim, generator=generator) * 0.8 + 0.2
    w[dim // 2] = 1.5
    return w * (torch.rand(dim, generator=generator) < 0.5).float().mul(2).sub(1)


def linear(norm: str, shape: tuple[int, ...], head: str, seed: int = 0) -> Problem:
    """Images at chosen distances on both sides of w . x + b = 0; no optimal change touches the domain.

    five_classes has three more classes far below the two, so that every loss looks at the same boundary.
    """
    generator = torch.Generator().manual_seed(seed)
    dim = torch.Size(shape).numel()
    w = _weights(dim, generator)
    others = 0.1 * torch.randn(dim, 3, generator=generator)
    bias = -float(w.sum()) / 2

    def model(x: Tensor) -> Tensor:
        flat = x.flatten(1)
        z = (flat @ w + bias)[:, None]
        if head == "one_logit":
            return z
        two = torch.cat([-z / 2, z / 2], 1)
        return two if head == "two_logit" else torch.cat([two, flat @ others - 30], 1)

    y = torch.tensor([0, 1, 0, 1, 0, 1])
    side = 2.0 * y - 1
    distance = torch.linspace(*DISTANCES[norm], 6)
    wanted = side * distance * NORMS[norm].dual_size(w[None])
    x = 0.45 + 0.1 * torch.rand(6, dim, generator=generator)
    x = x + ((wanted - x @ w - bias) / (w @ w))[:, None] * w
    return Problem(model, x.reshape(6, *shape), y, distance)


def boxed(shape: tuple[int, ...], seed: int = 0) -> Problem:
    """linf where the domain binds, many pixels have little room: the distance solves sum |w| min(r, room) = margin."""
    generator = torch.Generator().manual_seed(seed)
    dim = torch.Size(shape).numel()
    w = _weights(dim, generator)
    bias = -float(w.sum()) / 2
    x = torch.rand(100, dim, generator=generator)
    x = torch.where(torch.rand(100, dim, generator=generator) < 0.3, x.round(), x)
    y = (x @ w + bias > 0).long()
    # The adversary of class 1 moves against w: the room is to 0 where w > 0 and to 1 where w < 0.
    room = torch.where((w > 0) == (y == 0)[:, None], 1 - x, x).double()
    low, high = torch.zeros(100, dtype=torch.float64), torch.ones(100, dtype=torch.float64)
    for _ in range(50):
        middle = (low + high) / 2
        enough = (w.abs() * torch.minimum(middle[:, None], room)).sum(1) >= (x @ w + bias).abs()
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    six = ((high > 0.05) & (high < 0.5)).nonzero()[:6, 0]
    assert len(six) == 6

    def model(images: Tensor) -> Tensor:
        z = images.flatten(1) @ w + bias
        return torch.stack([-z / 2, z / 2], 1)

    return Problem(model, x[six].reshape(6, *shape), y[six], high[six].float())


def least_likely(norm: str, shape: tuple[int, ...], seed: int = 0) -> Problem:
    """Five classes of which the last, y, is the least likely: its distance is that of the plain problem.

    The others share one logit, and the last leads them by w . x + b.
    """
    plain = linear(norm, shape, "one_logit", seed)
    below = plain.y == 0

    def model(x: Tensor) -> Tensor:
        return torch.cat([torch.zeros(len(x), 4), plain.model(x)], 1)

    return Problem(model, plain.x[below], torch.full((int(below.sum()),), 4), plain.distance[below])


def many_classes(norm: str, shape: tuple[int, ...], seed: int = 0) -> Problem:
    """Six classes in general position: the smallest over the other classes k of margin / ||w_y - w_k||_dual."""
    generator = torch.Generator().manual_seed(seed)
    dim = torch.Size(shape).numel()
    w = torch.randn(6, dim, generator=generator)
    x = 0.4 + 0.2 * torch.rand(6, dim, generator=generator)
    bias = -(x @ w.T).mean(0)

    def model(images: Tensor) -> Tensor:
        return images.flatten(1) @ w.T + bias

    logits = model(x)
    y = logits.argmax(1)
    apart = (w[y][:, None] - w[None]).flatten(0, 1)
    dual = NORMS[norm].dual_size(apart).reshape(6, 6)
    margin = logits.gather(1, y[:, None]) - logits
    distance = torch.where(torch.arange(6) == y[:, None], torch.inf, margin / dual).amin(1)
    return Problem(model, x.reshape(6, *shape), y, distance)
