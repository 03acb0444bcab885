"""Batches of a limited size out of many images: what is left of all of them is dealt out again before every part."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .count import narrow


def pieces(index: Tensor, size: int | None) -> tuple[Tensor, ...]:
    """The positions (m,) in as few pieces of at most `size` as possible, all of nearly one length; None is no limit.

    Example:
        >>> [len(piece) for piece in pieces(torch.arange(9), 4)]
        [3, 3, 3]
    """
    if not len(index):
        return ()
    number = 1 if size is None else -(-len(index) // size)
    return tuple(index.tensor_split(number))


def answers(model: Callable[[Tensor], Tensor], x: Tensor, size: int | None = None) -> Tensor:
    """The logits of x (n, ...) without gradients, at most `size` images at a time."""
    parts = pieces(torch.arange(len(x), device=x.device), size)
    with torch.no_grad():
        if len(parts) < 2:
            return model(x)
        return torch.cat([narrow(model, part)(x[part]) for part in parts])
