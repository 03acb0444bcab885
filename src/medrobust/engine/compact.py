"""Batches of a limited size out of many images: what is left of all of them is dealt out anew before every stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..streams import Streams
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


class Again(NamedTuple):
    """Images that are asked once more: positions (m,), budgets (m,) and random numbers."""

    at: Tensor
    epsilon: Tensor
    streams: Streams


Next = Callable[[Tensor, Tensor], Again]


def in_stages(
    num_stages: int,
    attempt: Callable[[int, Tensor], Tensor],
    settled: Tensor,
    size: int | None = None,
    over: Callable[[Tensor], Tensor] | None = None,
) -> None:
    """Take n images through the stages of an attack, each until a stage wins, in batches of at most `size`.

    The stage that is fewest stages in comes first: an image that starts again at another budget catches up with the
    others before a later stage, so that the last ones, which cost most, run in full batches.

    Args:
        num_stages: how many there are.
        attempt: stage, positions (m,) -> whether it has won (m,).
        settled: (n,) bool, images that need no stage.
        size: most images of one attempt; None is no limit.
        over: told the positions of the images that have won or are through; returns those that start again.
    """
    stage = torch.where(settled, num_stages, 0)
    ended = settled.nonzero()[:, 0]
    while True:
        if over is not None and len(ended):
            stage[over(ended)] = 0
        now = int(stage.min()) if len(stage) else num_stages
        if now == num_stages:
            return
        (left,) = torch.where(stage == now)
        for index in pieces(left, size):
            stage[index] = torch.where(attempt(now, index), num_stages, now + 1)
        ended = left[stage[left] == num_stages]
