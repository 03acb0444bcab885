"""Artifacts of scanners: bias field, ghosts, spikes and ringing of MRI, shadows of ultrasound, markers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .base import Lot, coordinates, draw, each

ORDER = 3  # of the polynomial of a bias field


def bias_field(x: Tensor, strength: float, lot: Lot) -> Tensor:
    """x * exp(strength * f), f a random cubic polynomial of the place with largest size 1: uneven coils, or gain."""
    rows, columns = coordinates(x)
    terms = [rows**i * columns**j for i in range(ORDER + 1) for j in range(ORDER + 1 - i) if i + j]
    weights = (2 * draw(lot, x, len(terms)) - 1).to(x.dtype)
    field = torch.einsum("nk,khw->nhw", weights, torch.stack([term.expand(x.shape[-2:]) for term in terms]))
    field = field / field.flatten(1).abs().amax(1)[:, None, None]
    return x * torch.exp(strength * field.reshape(len(x), *[1] * (x.ndim - 3), *x.shape[-2:]))


def ghosting(x: Tensor, share: float, lot: Lot) -> Tensor:
    """Every second line of k-space weaker by a share, but for the middle one: a copy shifted by half of the rows."""
    lines = torch.fft.fft(x.double(), dim=-2)
    weaker = torch.ones(x.shape[-2], dtype=torch.float64, device=x.device)
    weaker[1::2] = 1 - share
    return torch.fft.ifft(lines * weaker[:, None], dim=-2).abs().to(x)


def spikes(x: Tensor, height: float, lot: Lot) -> Tensor:
    """A spike in k-space, which lays stripes of this height over the image: a wave of the image's own direction."""
    u = draw(lot, x, 3)
    rows, columns = coordinates(x.double())
    cycles, angle, phase = 4 + 12 * u[:, 0], math.pi * u[:, 1], 2 * math.pi * u[:, 2]
    down, right = (cycles * turn / 2 for turn in (torch.sin(angle), torch.cos(angle)))
    at = down[:, None, None] * rows + right[:, None, None] * columns
    wave = torch.cos(2 * math.pi * at + phase[:, None, None])
    return x + height * wave.to(x.dtype).reshape(len(x), *[1] * (x.ndim - 3), *x.shape[-2:])


def gibbs(x: Tensor, alpha: float, lot: Lot) -> Tensor:
    """Ringing: k-space cut off outside a circle, as monai.transforms.GibbsNoise."""
    h, w = x.shape[-2:]
    rows = torch.arange(h, device=x.device, dtype=torch.float64)[:, None] - (h - 1) / 2
    columns = torch.arange(w, device=x.device, dtype=torch.float64)[None, :] - (w - 1) / 2
    radius = (1 - alpha) * max(h, w) * math.sqrt(2) / 2
    kept = (rows**2 + columns**2) <= radius**2
    space = torch.fft.fftshift(torch.fft.fft2(x.double()), dim=(-2, -1)) * kept
    return torch.fft.ifft2(torch.fft.ifftshift(space, dim=(-2, -1))).real.to(x)


def shadow(x: Tensor, depth: float, lot: Lot) -> Tensor:
    """An acoustic shadow: a band of the image's own place, darker by a share from a depth of its own downwards."""
    u = draw(lot, x, 3)
    rows, columns = coordinates(x)
    middle, half = each(1.2 * u[:, 0] - 0.6, x), each(0.1 + 0.15 * u[:, 1], x)
    top = each(0.8 * u[:, 2] - 0.8, x)
    band = torch.sigmoid((half - (columns - middle).abs()) / 0.03) * torch.sigmoid((rows - top) / 0.05)
    return x * (1 - depth * band)


def marker(x: Tensor, size: float, lot: Lot) -> Tensor:
    """A white cross with arms of this share of a side, in a corner of the image's own: burned in by a user."""
    corner = torch.floor(4 * draw(lot, x, 1)[:, 0])
    rows, columns = coordinates(x)
    down = rows - each(torch.where(corner < 2, -0.6, 0.6), x)
    right = columns - each(torch.where(corner % 2 < 1, -0.6, 0.6), x)
    thick = max(size / 3, 2 / min(x.shape[-2:]))
    cross = ((down.abs() <= thick) & (right.abs() <= size)) | ((right.abs() <= thick) & (down.abs() <= size))
    return torch.where(cross, 1.0, x)
