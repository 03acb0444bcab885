"""Weights averaged on the way: often better, and flatter, than the last ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..recipes.train import AverageSpec


class Average:
    """The running average of a network's weights.

    ema: a <- d * a + (1 - d) * w after each step of the optimizer, for running statistics too, with d = min(decay,
    (1 + n) / (10 + n)) at step n, so that the first weights do not linger. swa: the mean of the weights at the ends of
    epochs (Izmailov et al. 2018, arXiv:1803.05407); its running statistics belong to no network that was trained, and
    are estimated anew. Both begin in epoch start_epoch of a phase.

    Example:
        >>> network = nn.Linear(1, 1, bias=False)
        >>> average = Average(AverageSpec(kind="swa"))
        >>> for value in (1.0, 2.0):
        ...     _ = nn.init.constant_(network.weight, value)
        ...     average.after_epoch(network, 0)
        >>> with average.put_in(network):
        ...     network.weight.item()
        1.5
        >>> network.weight.item()
        2.0
    """

    def __init__(self, spec: AverageSpec) -> None:
        self.spec = spec
        self.count = 0
        self.values: dict[str, Tensor] = {}

    def after_step(self, network: nn.Module, epoch: int) -> None:
        """Called after each step of the optimizer in this epoch of the phase."""
        if self.spec.kind == "ema" and epoch >= self.spec.start_epoch:
            self._add(network, 1 - min(self.spec.decay, (1 + self.count) / (10 + self.count)))

    def after_epoch(self, network: nn.Module, epoch: int) -> None:
        """Called at the end of this epoch of the phase."""
        if self.spec.kind == "swa" and epoch >= self.spec.start_epoch:
            self._add(network, 1 / (self.count + 1))

    @torch.no_grad()
    def _add(self, network: nn.Module, share: float) -> None:
        for name, value in network.state_dict().items():
            if not self.count:
                self.values[name] = value.clone()
            elif value.is_floating_point():
                self.values[name].lerp_(value, share)
            else:
                self.values[name].copy_(value)
        self.count += 1

    @contextmanager
    def put_in(self, network: nn.Module, settle: Callable[[nn.Module], None] | None = None) -> Iterator[None]:
        """Inside the context the network has the averaged weights, if there are any; after it, its own again.

        With swa, settle(network) is called first, to estimate the running statistics anew.
        """
        if not self.count:
            yield
            return
        own = {name: value.clone() for name, value in network.state_dict().items()}
        try:
            _fill(network, self.values)
            if settle is not None and self.spec.kind == "swa":
                settle(network)
            yield
        finally:
            _fill(network, own)

    def state_dict(self) -> dict[str, Any]:
        """What load_state_dict takes."""
        return {"count": self.count, "values": self.values}

    def load_state_dict(self, state: dict[str, Any], network: nn.Module) -> None:
        """Go on from a saved average of this network."""
        self.count = state["count"]
        own = network.state_dict()
        self.values = {name: torch.empty_like(own[name]).copy_(value) for name, value in state["values"].items()}


@torch.no_grad()
def _fill(network: nn.Module, values: dict[str, Tensor]) -> None:
    for name, target in network.state_dict().items():
        target.copy_(values[name])


def norms_of(network: nn.Module) -> list[nn.Module]:
    """The layers with running statistics."""
    kinds = nn.modules.batchnorm._NormBase
    return [m for m in network.modules() if isinstance(m, kinds) and m.track_running_stats]


@contextmanager
def estimating(network: nn.Module) -> Iterator[None]:
    """Forward passes inside the context set the running statistics to their mean over batches.

    Args:
        network: all else in it is in evaluation mode; afterwards its modes are as before.
    """
    norms = norms_of(network)
    modes = [(module, module.training) for module in network.modules()]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()  # type: ignore[operator]
        norm.momentum, norm.training = None, True  # type: ignore[assignment]
    try:
        with torch.no_grad():
            yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, mode in modes:
            module.training = mode
