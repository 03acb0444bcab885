"""Gaussian smoothing of maps."""

from __future__ import annotations

import torch
from torch import Tensor

REACH = 4.0  # standard deviations to where the bell is cut


def gaussian(maps: Tensor, sigma: float) -> Tensor:
    """Maps (n, *spatial) smoothed by a Gaussian of sigma pixels; 0 leaves them as they are.

    The image is mirrored at its edges, the edge pixel twice, and the bell is cut at 4 sigma: what
    scipy.ndimage.gaussian_filter does.

    Example:
        >>> flat = gaussian(torch.ones(1, 6, 6), 2.0)
        >>> torch.allclose(flat, torch.ones(1, 6, 6))
        True
    """
    if sigma <= 0:
        return maps
    for axis in range(1, maps.ndim):
        weights = _matrix(maps.shape[axis], sigma).to(maps)
        maps = (maps.movedim(axis, -1) @ weights.T).movedim(-1, axis)
    return maps.contiguous()


def _matrix(length: int, sigma: float) -> Tensor:
    """(length, length) row i holds what each pixel of a line counts for pixel i."""
    reach = int(REACH * sigma + 0.5)
    offset = torch.arange(-reach, reach + 1)
    bell = torch.exp(-0.5 * (offset / sigma).double() ** 2)
    at = (torch.arange(length)[:, None] + offset) % (2 * length)
    at = torch.where(at < length, at, 2 * length - 1 - at)
    return torch.zeros(length, length, dtype=torch.float64).scatter_add_(1, at, (bell / bell.sum()).expand_as(at))
