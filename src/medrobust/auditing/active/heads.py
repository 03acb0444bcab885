"""A weakness that is known to be there: a linear head, for each image its own, with a region near the edge of the ball.

After Zimmermann et al. 2022, "Increasing confidence in adversarial robustness evaluations" (arXiv:2206.13991), in a
formulation of our own. They put the region behind a random point of the surface; the steepest direction of a head
reaches the level of such a point long before the edge of the ball, so that an attack which goes half of the way wins
too. Here the point is first pushed as far as the head goes inside the ball, and the region is what lies beyond
three quarters of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ...engine.ascend import Score, ascend
from ...engine.count import PerImage
from ...engine.keep import fold, highest
from ...engine.steps import Steepest
from ...engine.tree import take
from ...models.classifier import Classifier
from ...models.last_layer import Place, features, with_outputs
from ...streams import Streams
from ...threat import Ball

NUM_INNER = 16  # points inside the ball that the head tells from the planted one
INNER = 0.95  # of the radius
LEVEL = 0.75  # of the way from the image to the planted point, where the region begins
NUM_STEPS, STEP = 8, 0.25  # of the push; the length as a share of the radius
LEAST_FEATURES = 24  # the points must be fewer
FLAT = 1e-6  # of the largest: a direction that is nothing but rounding
LEAST_MARGIN = 1e-3  # of the outputs of a head, where those of the network are level


class Heads(NamedTuple):
    """Heads of n images; every field per image.

    Args:
        center: (n, d) float64, features of the image.
        weight: (n, d) float64; weight . (features - center) is 0 at the image and 1 at the planted point.
        margin: (n,) of the network's own outputs at the image: the head's margin there.
        own: (n,) the column that the image is given; other: (n,) the column of the region.
        value: (n,) of that own column; low: (n,) of the columns that never win.
    """

    center: Tensor
    weight: Tensor
    margin: Tensor
    own: Tensor
    other: Tensor
    value: Tensor
    low: Tensor

    def level(self, found: Tensor) -> Tensor:
        """(n,) float64 of features (n, d): above 0 in the region, -LEVEL at the image."""
        return ((found.double() - self.center) * self.weight).sum(1) - LEVEL


class Planted(PerImage):
    """A classifier with the head of each image in the place of its last layer; what comes after that layer stays."""

    def __init__(self, model: Classifier, place: Place, heads: Heads) -> None:
        self.model, self.place, self.heads = model, place, heads

    def __call__(self, x: Tensor) -> Tensor:
        heads = self.heads
        if len(x) != len(heads.own):
            if len(x) % len(heads.own):
                raise ValueError(f"{len(x)} images shown to a model narrowed to {len(heads.own)}")
            heads = take(heads, torch.arange(len(heads.own), device=x.device).repeat(len(x) // len(heads.own)))
        logits, found = with_outputs(self.model, x, self.place, lambda given, out: _outputs(heads, given, out))
        if self.place.in_place:
            return logits
        level = heads.level(found) / LEVEL
        return torch.stack([torch.zeros_like(level), level], 1).to(logits.dtype)

    def narrow(self, index: Tensor) -> Planted:
        return Planted(self.model, self.place, take(self.heads, index))


def _outputs(heads: Heads, given: Tensor, out: Tensor) -> Tensor:
    """What stands in the place of the outputs (n, k): the margin at the image is that of the network itself."""
    lead = heads.margin.double() * heads.level(given) / LEVEL
    if out.shape[1] == 1:
        return torch.where(heads.own == 1, -lead, lead)[:, None]
    row = torch.arange(len(out), device=out.device)
    columns = heads.low.double()[:, None].repeat(1, out.shape[1])
    columns[row, heads.own] = heads.value.double()
    columns[row, heads.other] = heads.value.double() + lead
    return columns


class Plot(NamedTuple):
    """Where heads are put: the network, the layer, the images (n, ...) in their balls, their random numbers."""

    model: Classifier
    place: Place
    ball: Ball
    streams: Streams
    batch_size: int

    def features(self, x: Tensor) -> Tensor:
        """(n, d) float64, without gradients."""
        with torch.no_grad():
            return torch.cat([features(self.model, part, self.place) for part in x.split(self.batch_size)]).double()

    def inner(self) -> Iterator[Tensor]:
        """NUM_INNER times one point (n, ...) well inside each ball."""
        inside = self.ball._replace(radius=INNER * self.ball.radius)
        for number in range(NUM_INNER):
            yield inside.sample(self.streams.child("inner", number))

    def surface(self, *label: int | str) -> Tensor:
        """(n, ...) a random point at the edge of each ball, as far as the domain lets it."""
        return self.ball.edge(self.streams.child("surface", *label))


def plant(plot: Plot) -> tuple[Heads, Tensor]:
    """The heads, and the points (n, ...) that were planted."""
    center = plot.features(plot.ball.center)
    inner = torch.stack([plot.features(points) - center for points in plot.inner()], 1)
    first = plot.surface("planted")
    weight = _weight(inner, plot.features(first) - center)
    point = _pushed(plot, center, weight, first)
    return _heads(plot, center, _weight(inner, plot.features(point) - center)), point


def _weight(inner: Tensor, planted: Tensor) -> Tensor:
    """(n, d) the shortest weight that is 0 on inner (n, m, d) and 1 on planted (n, d); 0 where there is none.

    It is the part of the planted direction that the inner ones do not span. Singular values that are rounding count as
    zero, or they would turn the weight at will.
    """
    _, size, basis = torch.linalg.svd(inner, full_matrices=False)
    largest = torch.maximum(size.amax(1), planted.norm(dim=1))
    kept = torch.where((size > FLAT * largest[:, None])[:, :, None], basis, 0)
    left = planted - torch.einsum("nm,nmd->nd", torch.einsum("nmd,nd->nm", kept, planted), kept)
    along = (left * planted).sum(1, keepdim=True)
    usable = along > (FLAT * largest[:, None]) ** 2
    return torch.where(usable, left / along.clamp_min(torch.finfo(along.dtype).tiny), 0)


def _pushed(plot: Plot, center: Tensor, weight: Tensor, start: Tensor) -> Tensor:
    """The points (n, ...) that go farthest along the weights within the balls, from `start` on.

    It climbs the features themselves, which no later layer can saturate.
    """
    points = []
    for part in torch.arange(len(start)).split(plot.batch_size):
        at = part.to(start.device)
        middle, slope = center[at], weight[at]

        def objective(x: Tensor, middle: Tensor = middle, slope: Tensor = slope) -> Score:
            found = features(plot.model, x, plot.place).double()
            value = ((found - middle) * slope).sum(1)
            return Score(value, value[:, None].detach(), torch.zeros_like(value, dtype=torch.bool))

        ball, step = take(plot.ball, at), Steepest(relative_step_size=STEP)
        points.append(fold(highest, ascend(objective, ball, start[at], step, NUM_STEPS), ball))
    return torch.cat(points)


def _heads(plot: Plot, center: Tensor, weight: Tensor) -> Heads:
    own_outputs: list[Tensor] = []

    def seen(given: Tensor, out: Tensor) -> Tensor:
        own_outputs.append(out.detach().double())
        return out

    with torch.no_grad():
        for part in plot.ball.center.split(plot.batch_size):
            with_outputs(plot.model, part, plot.place, seen)
    n, device = len(center), center.device
    if not plot.place.in_place:
        one = torch.ones(n, dtype=torch.float64, device=device)
        zero = torch.zeros(n, dtype=torch.int64, device=device)
        return Heads(center, weight, one, zero, zero + 1, 0 * one, 0 * one)
    out = torch.cat(own_outputs)
    if out.shape[1] == 1:
        own = (out[:, 0] > 0).long()
        return Heads(center, weight, out[:, 0].abs().clamp_min(LEAST_MARGIN), own, 1 - own, 0 * own, 0 * own)
    top = out.topk(2, 1)
    margin = (top.values[:, 0] - top.values[:, 1]).clamp_min(LEAST_MARGIN)
    low = torch.minimum(out.amin(1), top.values[:, 0] - margin) - margin
    return Heads(center, weight, margin, top.indices[:, 0], top.indices[:, 1], top.values[:, 0], low)
