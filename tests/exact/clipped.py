"""A hyperplane and images whose pixels are partly black or white: distances by bisection, in double precision."""

from __future__ import annotations

import torch
from torch import Tensor

WEIGHT = torch.ones(16)
WEIGHT[:3] = -1.0
X = torch.full((1, 1, 4, 4), 0.5)
X[0, 0].view(-1)[:3] = 0.0
OFF = -float(WEIGHT @ X.flatten()) - 1.3


def one_logit(x: Tensor) -> Tensor:
    """z = w x + b, -1.3 at X."""
    return (x.flatten(1) @ WEIGHT + OFF)[:, None]


def two_logits(x: Tensor) -> Tensor:
    """The same, as the difference of two."""
    z = one_logit(x)
    return torch.cat([5 - z / 2, 5 + z / 2], 1)


def softmax_of(x: Tensor) -> Tensor:
    """The same, with a third class that is never near."""
    return torch.cat([two_logits(x), two_logits(x)[:, :1] - 20], 1)


def nearest(norm: str, weight: Tensor, x: Tensor, rise: float) -> Tensor:
    """(n,) size of the smallest change inside [0, 1] that raises w x by `rise`: bisection, no projection."""
    w, flat = weight.double(), x.flatten(1).double()
    room = torch.where(w > 0, 1 - flat, flat)
    gain = w.abs()
    if norm == "l1":  # the steepest pixels first, each to its edge
        order = gain.argsort(descending=True)
        cap = room[:, order] * gain[order]
        before = cap.cumsum(1) - cap
        used = (rise - before).clamp(min=0).minimum(cap)
        return (used / gain[order]).sum(1).float()
    low, high = torch.zeros(len(x), dtype=torch.float64), torch.full((len(x),), 1e3, dtype=torch.float64)
    for _ in range(200):
        t = (low + high) / 2
        move = torch.minimum(t[:, None] * (gain if norm == "l2" else torch.ones_like(gain)), room)
        enough = (move * gain).sum(1) >= rise
        low, high = torch.where(enough, low, t), torch.where(enough, t, high)
    move = torch.minimum(high[:, None] * (gain if norm == "l2" else torch.ones_like(gain)), room)
    return (move.norm(dim=1) if norm == "l2" else move.amax(1)).float()
