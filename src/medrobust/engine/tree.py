"""Selecting samples of nested per-sample state: what lets a finished lane be refilled.

A tree is a tensor (n, ...), None, a plain value, or a (named) tuple of trees; the first dimension of every tensor is
the sample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from ..streams import Streams

Tree = TypeVar("Tree")


def map_tree(function: Callable[..., Tensor], *trees: Any) -> Any:
    """Apply function to the tensors that stand at the same place in trees of the same shape."""
    first = trees[0]
    if isinstance(first, Tensor):
        return function(*trees)
    if isinstance(first, Streams):
        return Streams(function(*(tree.keys for tree in trees)))
    if isinstance(first, tuple):
        parts = [map_tree(function, *group) for group in zip(*trees, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    return first


def take(tree: Tree, index: Tensor) -> Tree:
    """The samples at index (m,).

    Example:
        >>> take((torch.arange(3), None), torch.tensor([2, 0]))
        (tensor([2, 0]), None)
    """
    taken: Tree = map_tree(lambda t: t[index], tree)
    return taken


def put(tree: Tree, index: Tensor, other: Tree) -> Tree:
    """tree with the samples at index (m,) replaced by those of other, which has m samples."""
    changed: Tree = map_tree(lambda t, o: t.index_copy(0, index, o.to(t.dtype)), tree, other)
    return changed


def choose(condition: Tensor, yes: Tree, no: Tree) -> Tree:
    """Per sample, yes where condition (n,) holds, else no."""
    chosen: Tree = map_tree(lambda a, b: torch.where(condition.reshape(-1, *[1] * (a.ndim - 1)), a, b), yes, no)
    return chosen


def concatenate(trees: list[Tree]) -> Tree:
    """One tree with the samples of all."""
    whole: Tree = map_tree(lambda *tensors: torch.cat(tensors), *trees)
    return whole
