"""What the processes of a group tell each other; with one process, nothing happens."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def is_group() -> bool:
    """Whether several processes train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def gathered(tensor: Tensor) -> Tensor:
    """(n, ...) of every process, one after the other; all processes get the same."""
    if not is_group():
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)


def joint_mean(tensor: Tensor) -> Tensor:
    """The mean over processes of equally large batches, element by element; no gradient."""
    if not is_group():
        return tensor
    total = tensor.detach().clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()
