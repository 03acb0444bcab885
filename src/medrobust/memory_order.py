"""The order of numbers in memory that convolutions want: it changes the speed and no number."""

from __future__ import annotations

import torch
from torch import Tensor

# By the number of dimensions of a batch.
ORDERS = {4: torch.channels_last, 5: torch.channels_last_3d}


def channels_last(x: Tensor) -> Tensor:
    """The same numbers in the memory order of ORDERS; x itself where it has that order, or other dimensions."""
    order = ORDERS.get(x.ndim)
    return x if order is None else x.contiguous(memory_format=order)
