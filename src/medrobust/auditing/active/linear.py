"""A classifier of which everything is known: one slope for all images, and a boundary just inside each ball."""

from __future__ import annotations

import torch
from torch import Tensor

from ...engine.count import PerImage
from ...streams import Streams
from ...threat import Ball

LEVEL = 0.95  # of the most that the slope can rise inside ball and domain, where the boundary is


class Slopes(PerImage):
    """Two classes: logits (0, slope . (x - center) - level) with slope, center and level of each image, in float64."""

    def __init__(self, slope: Tensor, center: Tensor, level: Tensor) -> None:
        self.slope, self.center, self.level = slope, center, level

    def __call__(self, x: Tensor) -> Tensor:
        many = len(x) // len(self.level)
        slope, center = (one.repeat(many, *[1] * (one.ndim - 1)) for one in (self.slope, self.center))
        rise = ((x.double() - center) * slope).flatten(1).sum(1) / self.level.repeat(many)
        return torch.stack([torch.zeros_like(rise), rise - 1], 1).to(x.dtype)

    def narrow(self, index: Tensor) -> Slopes:
        return Slopes(self.slope[index], self.center[index], self.level[index])


def slopes(ball: Ball, streams: Streams) -> Slopes:
    """The classifier for the images of a ball, with random slopes; the best point of each ball is past its boundary.

    The best change along a slope is known in closed form in every norm, the edges of the domain included: Ball.move.

    Example:
        >>> from medrobust.threat import Threat
        >>> ball = Threat(0.1).around(torch.full((2, 1, 4, 4), 0.5))
        >>> model = slopes(ball, Streams.of(0, [0, 1]))
        >>> best = ball.center + 0.1 * model.slope.sign().float()
        >>> model(ball.center).argmax(1).tolist(), model(best).argmax(1).tolist()
        ([0, 0], [1, 1])
    """
    exact = ball._replace(center=ball.center.double(), radius=ball.radius.double())
    slope = streams.child("slope").normal(exact.center)
    best = exact.project(exact.center + exact.move(slope, exact.center, exact.radius))
    most = ((best - exact.center) * slope).flatten(1).sum(1)
    return Slopes(slope, exact.center, LEVEL * most)
