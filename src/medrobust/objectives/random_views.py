"""Random views of grey and color medical images for contrastive learning, each a function of its image's stream."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..norms import per_sample
from ..streams import Streams

GREY = (0.299, 0.587, 0.114)  # luma of ITU-R BT.601


@dataclass(frozen=True, kw_only=True)
class ViewSpec:
    """How far views go from the image.

    Args:
        min_area: smallest share of the area that a crop keeps; crops have ratios from 3/4 to 4/3 where they fit.
        rotation: largest angle in degrees, either way.
        flip, vertical_flip: mirror half of the views.
        jitter: brightness is moved by up to jitter / 2, contrast scaled by 1 - jitter to 1 + jitter.
        saturation: color is mixed with grey by 1 - saturation to 1 + saturation. Hue stays: in stained or dermoscopic
            images it is a finding, and grey images have none.
        blur: largest standard deviation of a Gaussian, as a share of the side; half of the views are blurred.
    """

    min_area: float = 0.2
    rotation: float = 15.0
    flip: bool = True
    vertical_flip: bool = False
    jitter: float = 0.4
    saturation: float = 0.4
    blur: float = 0.02


def random_view(x: Tensor, spec: ViewSpec, streams: Streams) -> Tensor:
    """One view of each image; x (n, c, h, w) with values from 0 to 1, as are those of the view.

    Example:
        >>> x = torch.rand(2, 1, 16, 16)
        >>> a, b = (random_view(x, ViewSpec(), Streams.of(seed, range(2))) for seed in (0, 1))
        >>> a.shape == x.shape, bool((a == b).all())
        (True, False)
    """
    x = _moved(x, spec, streams)
    if spec.jitter:
        draw = _draw(streams.child("jitter"), x, 2)
        mean = x.mean((1, 2, 3), keepdim=True)
        x = (
            mean
            + per_sample(1 + spec.jitter * draw[:, 0], x) * (x - mean)
            + per_sample(spec.jitter / 2 * draw[:, 1], x)
        )
    if spec.saturation and x.shape[1] == 3:
        share = per_sample(1 + spec.saturation * _draw(streams.child("saturation"), x, 1)[:, 0], x)
        grey = (x * x.new_tensor(GREY).reshape(1, 3, 1, 1)).sum(1, keepdim=True)
        x = grey + share * (x - grey)
    if spec.blur:
        draw = _draw(streams.child("blur"), x, 1)[:, 0]
        x = _blurred(x, spec.blur * max(x.shape[2:]) * draw)  # negative in half of the views: no blur
    return x.clamp(0, 1)


def _draw(streams: Streams, x: Tensor, count: int) -> Tensor:
    """(n, count) uniform from -1 to 1."""
    return 2 * streams.uniform(x.new_empty(len(x), count)) - 1


def _moved(x: Tensor, spec: ViewSpec, streams: Streams) -> Tensor:
    """Crop, mirror and rotate in one bilinear resampling; outside, the image is mirrored."""
    draw = _draw(streams.child("crop"), x, 7)
    area = spec.min_area + (1 - spec.min_area) * (draw[:, 0] + 1) / 2
    ratio = torch.exp(draw[:, 1] * (-area.log()).clamp_max(math.log(4 / 3)))  # no side is longer than the image's
    wide, high = ((area * r).sqrt() for r in (ratio, 1 / ratio))
    right, down = draw[:, 2] * (1 - wide), draw[:, 3] * (1 - high)
    if spec.flip:
        wide = torch.where(draw[:, 4] < 0, -wide, wide)
    if spec.vertical_flip:
        high = torch.where(draw[:, 5] < 0, -high, high)
    angle = draw[:, 6] * math.radians(spec.rotation)
    cos, sin, side = angle.cos(), angle.sin(), x.shape[-2] / x.shape[-1]
    rows = torch.stack([cos * wide, -sin * high * side, right, sin * wide / side, cos * high, down], 1)
    grid = F.affine_grid(rows.reshape(-1, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _blurred(x: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur, sigma (n,) in pixels; images whose sigma is 0 or less stay as they are."""
    n, c, h, w = x.shape
    reach = min(math.ceil(2 * max(float(sigma.max()), 0.0)), min(h, w) - 1)
    if reach < 1:
        return x
    at = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    weights = torch.exp(-(at**2) / (2 * sigma.clamp_min(1e-3)[:, None] ** 2))
    weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(c, 0)
    out = F.pad(x, (reach,) * 4, mode="reflect").reshape(1, n * c, h + 2 * reach, w + 2 * reach)
    out = F.conv2d(out, weights[:, None, :, None], groups=n * c)
    out = F.conv2d(out, weights[:, None, None, :], groups=n * c)
    return torch.where(per_sample(sigma > 0, x), out.reshape(x.shape), x)
