"""Random changes of training images, each a function of (seed, epoch, image)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..recipes.train import AugmentSpec
from ..streams import Streams


def augment(x: Tensor, spec: AugmentSpec, streams: Streams) -> Tensor:
    """Mirrored, shifted and rotated images; x (n, c, h, w), values stay in the range of x.

    Mirroring is exact. Shift and rotation are one bilinear resampling with edge pixels repeated outside.
    Volumes (n, c, d, h, w) are mirrored only.

    Example:
        >>> x = torch.rand(2, 1, 4, 4)
        >>> torch.equal(augment(x, AugmentSpec(flip=False), Streams.of(0, range(2))), x)
        True
    """
    if spec.flip:
        x = _mirrored(x, -1, streams.child("flip"))
    if spec.vertical_flip:
        x = _mirrored(x, -2, streams.child("vertical_flip"))
    if x.ndim == 4 and (spec.shift or spec.rotation):
        x = _moved(x, spec, streams)
    return x


def _mirrored(x: Tensor, dim: int, streams: Streams) -> Tensor:
    chosen = streams.uniform(x.flatten(1)[:, 0]) < 0.5
    return torch.where(chosen.reshape(-1, *[1] * (x.ndim - 1)), x.flip(dim), x)


def _moved(x: Tensor, spec: AugmentSpec, streams: Streams) -> Tensor:
    draw = 2 * streams.child("move").uniform(x.new_empty(len(x), 3)) - 1
    angle = draw[:, 0] * math.radians(spec.rotation)
    shift = 2 * spec.shift * draw[:, 1:]  # a whole side is 2 in the coordinates of grid_sample
    cos, sin = angle.cos(), angle.sin()
    ratio = x.shape[-2] / x.shape[-1]
    rows = torch.stack([cos, -sin * ratio, shift[:, 0], sin / ratio, cos, shift[:, 1]], 1)
    grid = F.affine_grid(rows.reshape(-1, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
