"""How far a map moved: SSIM, rank correlation, shift of the center of mass; of each image, and their means."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..records.intervals import Estimate, Grouping

TAPS, SIGMA = 11, 1.5  # the window of Wang et al. 2004
C1, C2 = 0.01**2, 0.03**2


class Agreement(NamedTuple):
    """Two maps of each image compared, each (n,); NaN where a map is the same everywhere.

    Args:
        ssim: structural similarity of both maps, each over its largest value; 1 for equal maps.
        rank_correlation: Spearman's, of the pixels; 1 for the same order.
        shift: distance of the centers of mass, pixels.
    """

    ssim: np.ndarray
    rank_correlation: np.ndarray
    shift: np.ndarray


def agreement(a: Tensor, b: Tensor) -> Agreement:
    """Compare maps (n, *spatial), none negative, image by image.

    Example:
        >>> maps = torch.rand(2, 16, 16)
        >>> found = agreement(maps, maps)
        >>> found.ssim.round(6).tolist(), found.rank_correlation.round(6).tolist(), found.shift.tolist()
        ([1.0, 1.0], [1.0, 1.0], [0.0, 0.0])
    """
    moved = (center_of_mass(a) - center_of_mass(b)).square().sum(1).sqrt()
    return Agreement(ssim(_to_one(a), _to_one(b)).numpy(), rank_correlation(a, b), moved.numpy())


def means(found: Agreement, spatial: tuple[int, ...], grouping: Grouping) -> dict[str, Estimate]:
    """The mean of each measure with its 95 % interval.

    Args:
        spatial: sides of the maps, pixels: no center moves by more than their diagonal.
        grouping: which images belong together.
    """
    diagonal = math.dist([0] * len(spatial), [side - 1 for side in spatial])
    ends = {"ssim": (-1.0, 1.0), "rank_correlation": (-1.0, 1.0), "shift": (0.0, diagonal)}
    return {name: grouping.mean_between(getattr(found, name), low, high) for name, (low, high) in ends.items()}


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity (n,) of maps (n, *spatial) on [0, 1]: the mean over all windows that lie inside.

    Wang et al. 2004 (doi:10.1109/TIP.2003.819861): Gaussian windows of 11 pixels, sigma 1.5; of smaller maps
    the largest odd number of pixels that fits.
    """
    pairs = torch.stack([a, b, a * a, b * b, a * b]).double()
    for axis in range(2, pairs.ndim):
        pairs = (pairs.movedim(axis, -1) @ _windows(pairs.shape[axis]).to(pairs).T).movedim(-1, axis)
    mean_a, mean_b, square_a, square_b, product = pairs
    spread = square_a - mean_a**2 + square_b - mean_b**2
    together = product - mean_a * mean_b
    above = (2 * mean_a * mean_b + C1) * (2 * together + C2)
    return (above / ((mean_a**2 + mean_b**2 + C1) * (spread + C2))).flatten(1).mean(1).cpu()


def _windows(length: int) -> Tensor:
    """(windows, length) the weights of each window of a line."""
    taps = min(TAPS, length - (length + 1) % 2)
    bell = torch.exp(-0.5 * ((torch.arange(taps).double() - taps // 2) / SIGMA) ** 2)
    rows = torch.zeros(length - taps + 1, length, dtype=torch.float64)
    for i, row in enumerate(rows):
        row[i : i + taps] = bell / bell.sum()
    return rows


def rank_correlation(a: Tensor, b: Tensor) -> np.ndarray:
    """Spearman's rank correlation (n,) of the pixels of maps (n, *spatial); equal pixels share a rank."""
    from scipy.stats import rankdata

    x, y = (rankdata(part.flatten(1).cpu().numpy(), axis=1) for part in (a, b))
    x, y = (part - part.mean(1, keepdims=True) for part in (x, y))
    length = np.sqrt((x**2).sum(1) * (y**2).sum(1))
    return np.divide((x * y).sum(1), length, out=np.full(len(x), np.nan), where=length > 0)


def center_of_mass(maps: Tensor) -> Tensor:
    """(n, sides) where the weight of each map (n, *spatial) lies, pixels from 0; NaN for a map of zeros.

    Example:
        >>> center_of_mass(torch.tensor([[[0.0, 0.0], [1.0, 3.0]]])).tolist()
        [[1.0, 0.75]]
    """
    weight = maps.double().cpu()
    total = weight.flatten(1).sum(1)
    axes = range(1, maps.ndim)
    centers = []
    for axis in axes:
        along = weight.sum([other for other in axes if other != axis]) if len(axes) > 1 else weight
        centers.append((along * torch.arange(maps.shape[axis], dtype=torch.float64)).sum(1) / total)
    return torch.stack(centers, 1)


def _to_one(maps: Tensor) -> Tensor:
    peak = maps.flatten(1).amax(1).reshape(-1, *[1] * (maps.ndim - 1))
    return maps / torch.where(peak > 0, peak, torch.full_like(peak, torch.nan))
