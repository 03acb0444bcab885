"""Brightness, contrast, gamma, color and the window of CT."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Lot, coordinates, draw, each

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def grey_of(x: Tensor) -> Tensor:
    """(n, 1, *spatial): luma of color images, the mean of other channels."""
    if x.shape[1] != 3:
        return x.mean(1, keepdim=True)
    return (x * torch.tensor(LUMA, dtype=x.dtype, device=x.device).reshape(1, 3, *[1] * (x.ndim - 2))).sum(1, True)


def brightness(x: Tensor, step: float, lot: Lot) -> Tensor:
    """x + step."""
    return x + step


def contrast(x: Tensor, factor: float, lot: Lot) -> Tensor:
    """Differences from the mean luma of the image, times a factor."""
    mean = each(grey_of(x).flatten(1).mean(1), x)
    return mean + factor * (x - mean)


def gamma(x: Tensor, exponent: float, lot: Lot) -> Tensor:
    """x ** exponent."""
    return x**exponent


def saturation(x: Tensor, factor: float, lot: Lot) -> Tensor:
    """Differences of the channels from the luma, times a factor."""
    grey = grey_of(x)
    return grey + factor * (x - grey)


def hue(x: Tensor, turn: float, lot: Lot) -> Tensor:
    """Hue turned by a share of the circle, either way; other than three channels stay."""
    from torchvision.transforms.functional import adjust_hue

    if x.shape[1] != 3 or x.ndim != 4:
        return x
    signs = torch.where(draw(lot, x, 1)[:, 0] < 0.5, -turn, turn).tolist()
    return torch.stack([adjust_hue(image, sign) for image, sign in zip(x, signs, strict=True)])


def window_shift(x: Tensor, share: float, lot: Lot) -> Tensor:
    """The window of grey values moved by a share of its width, either way; what leaves it is lost."""
    sign = torch.where(draw(lot, x, 1)[:, 0] < 0.5, -1.0, 1.0)
    return x + share * each(sign, x)


def vignette(x: Tensor, depth: float, lot: Lot) -> Tensor:
    """Corners darker by a share, growing with the square of the distance from the center."""
    rows, columns = coordinates(x)
    return x * (1 - depth * (rows**2 + columns**2) / 2)
