"""Blur, motion, fewer pixels and lossy compression."""

from __future__ import annotations

import io
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .base import Lot, draw, planes

SIDE = 224  # lengths are in pixels of an image of this side, so that a severity looks alike at every size


def scale(x: Tensor) -> float:
    """Pixels of x per pixel of an image of side 224."""
    return float(math.sqrt(x.shape[-1] * x.shape[-2])) / SIDE


def gaussian_blur(x: Tensor, sigma: float, lot: Lot) -> Tensor:
    """Gaussian blur of every plane, edges mirrored."""
    from scipy.ndimage import gaussian_filter

    found = gaussian_filter(x.double().cpu().numpy(), sigma * scale(x), axes=(-2, -1), mode="mirror")
    return torch.from_numpy(found).to(x)


def motion_blur(x: Tensor, length: float, lot: Lot) -> Tensor:
    """The mean along a line of this length, in a direction of the image's own; edges are repeated."""
    from scipy.ndimage import shift

    angles = math.pi * draw(lot, x, 1)[:, 0].cpu().numpy()
    reach = length * scale(x)
    offsets = np.linspace(-0.5, 0.5, 2 * math.ceil(reach) + 1) * reach
    found = np.empty(x.shape)
    for i, (image, angle) in enumerate(zip(x.double().cpu().numpy(), angles, strict=True)):
        step = (math.sin(angle), math.cos(angle))
        still = (0.0,) * (image.ndim - 2)
        moved = [shift(image, (*still, t * step[0], t * step[1]), order=1, mode="nearest") for t in offsets]
        found[i] = np.mean(moved, axis=0)
    return torch.from_numpy(found).to(x)


def down_sampling(x: Tensor, factor: float, lot: Lot) -> Tensor:
    """Fewer pixels by a factor on each side and back, bilinear with antialiasing."""
    flat, back = planes(x)
    size = [max(1, round(side / factor)) for side in flat.shape[-2:]]
    small = interpolate(flat, size=size, mode="bilinear", antialias=True, align_corners=False)
    return back(interpolate(small, size=flat.shape[-2:], mode="bilinear", antialias=True, align_corners=False))


def jpeg(x: Tensor, quality: float, lot: Lot) -> Tensor:
    """Saved as JPEG of this quality and read again; planes of a volume one by one."""
    from PIL import Image

    def saved(picture: np.ndarray) -> np.ndarray:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, format="JPEG", quality=round(quality))
        return np.asarray(Image.open(buffer))

    pixels = (x * 255).round().to(torch.uint8).cpu().numpy()
    found = np.empty_like(pixels)
    for image, out in zip(pixels, found, strict=True):
        if image.ndim == 3 and len(image) == 3 and not (image == image[:1]).all():
            out[...] = saved(np.ascontiguousarray(image.transpose(1, 2, 0))).transpose(2, 0, 1)
        else:
            for place in np.ndindex(*image.shape[:-2]):
                out[place] = saved(image[place])
    return torch.from_numpy(found).to(x) / 255
