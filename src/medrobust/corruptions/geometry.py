"""Rotation, shift and crop: how a patient lies, and how a picture is cut."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from .base import Lot, draw, planes


def _moved(x: Tensor, theta: Tensor) -> Tensor:
    """x read at places (n, 2, 3) given as affine maps of [-1, 1]; edges are repeated."""
    flat, back = planes(x)
    grid = affine_grid(theta.double(), list(flat.shape), align_corners=False)
    return back(grid_sample(flat.double(), grid, mode="bilinear", padding_mode="border", align_corners=False).to(x))


def rotation(x: Tensor, degrees: float, lot: Lot) -> Tensor:
    """Turned about the center, either way, bilinear."""
    h, w = x.shape[-2:]
    turn = torch.where(draw(lot, x, 1)[:, 0] < 0.5, -1.0, 1.0).double() * math.radians(degrees)
    sin, cos, zero = torch.sin(turn), torch.cos(turn), torch.zeros_like(turn)
    rows = [torch.stack([cos, -sin * h / w, zero], 1), torch.stack([sin * w / h, cos, zero], 1)]
    return _moved(x, torch.stack(rows, 1))


def shift(x: Tensor, share: float, lot: Lot) -> Tensor:
    """Moved by a share of a side in a direction of the image's own."""
    angle = 2 * math.pi * draw(lot, x, 1)[:, 0]
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    right, down = 2 * share * torch.cos(angle), 2 * share * torch.sin(angle)
    return _moved(x, torch.stack([torch.stack([one, zero, right], 1), torch.stack([zero, one, down], 1)], 1))


def crop(x: Tensor, share: float, lot: Lot) -> Tensor:
    """A share of each side cut off, at a place of the image's own, and the rest enlarged to the old size."""
    u = 2 * draw(lot, x, 2) - 1
    kept, zero = torch.full_like(u[:, 0], 1 - share), torch.zeros_like(u[:, 0])
    rows = [torch.stack([kept, zero, share * u[:, 0]], 1), torch.stack([zero, kept, share * u[:, 1]], 1)]
    return _moved(x, torch.stack(rows, 1))
