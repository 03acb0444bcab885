"""A network as a search sees it: evaluation mode, no gradients to parameters, everything as before afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)


@contextmanager
def frozen(network: Network) -> Iterator[Network]:
    """Evaluation mode, no gradients to parameters; both are as before afterwards, errors included.

    Example:
        >>> network = nn.Linear(4, 2)
        >>> with frozen(network) as still:
        ...     still.training, still.weight.requires_grad
        (False, False)
        >>> network.training, network.weight.requires_grad
        (True, True)
    """
    modes = [(module, module.training) for module in network.modules()]
    wanted = [(p, p.requires_grad) for p in network.parameters()]
    try:
        network.eval()
        for p, _ in wanted:
            p.requires_grad_(False)
        yield network
    finally:
        for module, mode in modes:
            module.training = mode  # not train(): it would recurse and flatten what differs below
        for p, want in wanted:
            p.requires_grad_(want)
