"""The proposals of the square attack: boxes of the image (n, c, *spatial) at a place of its own for each image.

A box is written as positions in the flattened spatial dimensions, so images, volumes and signals are alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ...norms import L1, per_sample
from ...streams import Streams
from ...threat import Ball

# A change that is small in l1 should be sparse: dents are made too high and the projection cuts their slopes.
_TOO_HIGH = 10


def _signs(draws: Tensor) -> Tensor:
    return torch.where(draws < 0.5, -1.0, 1.0).to(draws)


def _strides(sizes: Sequence[int]) -> tuple[int, ...]:
    return tuple(math.prod(sizes[axis + 1 :]) for axis in range(len(sizes)))


@lru_cache(maxsize=64)
def _cells(sides: tuple[int, ...], strides: tuple[int, ...], device: torch.device) -> Tensor:
    """(prod(sides),) positions of the cells of a box whose first corner is at 0."""
    at = torch.zeros(1, dtype=torch.long, device=device)
    for side, stride in zip(sides, strides, strict=True):
        at = (at[:, None] + torch.arange(side, device=device) * stride).reshape(-1)
    return at


def _boxes(ball: Ball, sides: tuple[int, ...], draws: Tensor) -> Tensor:
    """(n, c, cells) positions of a random box for each image; draws (n, number of spatial dimensions) is uniform."""
    sizes, channels = ball.center.shape[2:], ball.center.shape[1]
    strides = _strides(sizes)
    free = torch.tensor([size - side + 1 for size, side in zip(sizes, sides, strict=True)], device=draws.device)
    corner = ((draws * free).long() * torch.tensor(strides, device=draws.device)).sum(1)
    at = corner[:, None] + _cells(sides, strides, draws.device)
    return at[:, None].expand(-1, channels, -1)


def stripes(ball: Ball, streams: Streams) -> Tensor:
    """Lines along the first spatial dimension, one pixel thin, of +-epsilon per channel; signals get single points."""
    center = ball.center
    thin = center[:, :, :1] if center.ndim > 3 else center
    return ball.project(center + per_sample(ball.radius, center) * _signs(streams.uniform(thin)))


def repaint(best: Tensor, ball: Ball, sides: tuple[int, ...], streams: Streams) -> Tensor:
    """A box of each image set to center +- epsilon, one sign per channel; the opposite where nothing would change."""
    num_dims, channels = best.ndim - 2, best.shape[1]
    draws = streams.uniform(best.new_empty(len(best), num_dims + channels))
    at = _boxes(ball, sides, draws[:, :num_dims])
    center, now = ball.center.flatten(2).gather(2, at), best.flatten(2).gather(2, at)
    d = (ball.radius[:, None] * _signs(draws[:, num_dims:]))[:, :, None]
    if ball.mask is not None:
        d = torch.where(ball.mask.flatten(2).gather(2, at), d, 0)
    new = (center + d).clamp(*ball.domain)
    idle = (new == now).flatten(1).all(1)
    new = torch.where(per_sample(idle, new), (center - d).clamp(*ball.domain), new)
    return best.flatten(2).scatter(2, at, new).reshape_as(best)


def _pyramid(sides: Sequence[int]) -> Tensor:
    """A peak in the middle of a box, of length 1: at distance d from the middle, the sum of 1 / k^2 over k > d."""
    steps = max(side // 2 for side in sides) + 1
    height = torch.arange(1, steps + 1, dtype=torch.float64).pow(-2).flip(0).cumsum(0).flip(0)
    away = torch.zeros([1] * len(sides), dtype=torch.long)
    for axis, side in enumerate(sides):
        line = (torch.arange(side) - side // 2).abs()
        away = torch.maximum(away, line.reshape([-1 if a == axis else 1 for a in range(len(sides))]))
    peak = height[away]
    return peak / torch.linalg.vector_norm(peak)


@lru_cache(maxsize=64)
def _dent(sides: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(number of spatial dimensions, cells): a peak up beside a peak down, side by side along each dimension."""
    shapes = []
    for axis, side in enumerate(sides):
        first, second = ([*sides[:axis], half, *sides[axis + 1 :]] for half in (side // 2, side - side // 2))
        up = [_pyramid(first)] if side > 1 else []
        dent = torch.cat([*up, -_pyramid(second)], axis)
        shapes.append((dent / torch.linalg.vector_norm(dent)).reshape(-1))
    return torch.stack(shapes).to(device, dtype)


def first_dents(ball: Ball, streams: Streams) -> Tensor:
    """A grid of five dents along every dimension (more when it is short), epsilon in size."""
    center = ball.center
    sizes, (n, channels) = center.shape[2:], center.shape[:2]
    sides = tuple(max(size // 5, 1) for size in sizes)
    counts = tuple(size // side for size, side in zip(sizes, sides, strict=True))
    strides = _strides(sizes)
    edge = sum(size % side // 2 * stride for size, side, stride in zip(sizes, sides, strides, strict=True))
    steps = tuple(side * stride for side, stride in zip(sides, strides, strict=True))
    tiles = _cells(counts, steps, center.device) + edge
    at = (tiles[:, None] + _cells(sides, strides, center.device)).reshape(-1)
    draws = streams.uniform(center.new_empty(n, channels + 1, len(tiles)))
    turned = _dent(sides, center.dtype, center.device)[(draws[:, 0] * len(sizes)).long()]
    values = _signs(draws[:, 1:])[..., None] * turned[:, None]
    d = torch.zeros_like(center).flatten(2)
    d[:, :, at] = values.flatten(2)
    d = d.reshape_as(center)
    if ball.mask is not None:
        d = torch.where(ball.mask, d, 0)
    size = ball.norm.size(d).clamp_min(torch.finfo(d.dtype).tiny)
    high = _TOO_HIGH if isinstance(ball.norm, L1) else 1
    return ball.project(center + per_sample(high * ball.radius / size, d) * d)


def dents(best: Tensor, ball: Ball, sides: tuple[int, ...], streams: Streams) -> Tensor:
    """The change in two boxes of each image, and what is left of epsilon, moved into a dent in one of the two.

    The dent is added to the direction of the change that is there (algorithm 3 of the paper). In l2 squares of lengths
    add up, in l1 lengths.
    """
    num_dims, channels, power = best.ndim - 2, best.shape[1], 1 if isinstance(ball.norm, L1) else 2
    draws = streams.uniform(best.new_empty(len(best), 2 * num_dims + channels + 1))
    here, there = _boxes(ball, sides, draws[:, :num_dims]), _boxes(ball, sides, draws[:, num_dims : 2 * num_dims])
    d = (best - ball.center).flatten(2)
    left = (ball.radius**power - d.abs().pow(power).sum((1, 2))).clamp_min(0) / channels
    old = d.gather(2, here)
    in_here = old.abs().pow(power).sum(2)
    d = d.scatter(2, here, 0)
    in_there = d.gather(2, there).abs().pow(power).sum(2)
    d = d.scatter(2, there, 0)
    turned = _dent(sides, best.dtype, best.device)[(draws[:, -1] * num_dims).long()]
    tiny = torch.finfo(best.dtype).tiny
    new = _signs(draws[:, 2 * num_dims : -1])[:, :, None] * turned[:, None]
    new = new + old / in_here.pow(1 / power).clamp_min(tiny)[:, :, None]
    if ball.mask is not None:
        new = torch.where(ball.mask.flatten(2).gather(2, here), new, 0)
    size = new.abs().pow(power).sum(2).clamp_min(tiny) / (_TOO_HIGH if power == 1 else 1)
    new = new * ((in_here + in_there + left[:, None]) / size).pow(1 / power)[:, :, None]
    return ball.project(ball.center + d.scatter(2, here, new).reshape_as(best))
