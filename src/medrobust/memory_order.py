"""The order of numbers in memory that convolutions want; it changes speed and no number."""

from __future__ import annotations

import torch
from torch import Tensor

# The memory order that convolution kernels want, by the number of dimensions of a batch.
ORDERS = {4: torch.channels_last, 5: torch.channels_last_3d}


def channels_last(x: Tensor) -> Tensor:
    """The same numbers in the memory order of ORDERS; x itself where it is so already, or has other dimensions."""
    order = ORDERS.get(x.ndim)
    return x if order is None else x.contiguous(memory_format=order)
