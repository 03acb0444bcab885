"""Weights averaged on the way: often better, and flatter, than the last ones."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn

from ..recipes.train import AverageSpec

Tensors = tuple[Tensor, ...] | list[Tensor]


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
        self.averaged: AveragedModel | None = None

    def after_step(self, network: nn.Module, epoch: int) -> None:
        """Called after each step of the optimizer in this epoch of the phase."""
        if self.spec.kind == "ema" and epoch >= self.spec.start_epoch:
            self._begun(network).update_parameters(network)

    def after_epoch(self, network: nn.Module, epoch: int) -> None:
        """Called at the end of this epoch of the phase."""
        if self.spec.kind == "swa" and epoch >= self.spec.start_epoch:
            self._begun(network).update_parameters(network)

    def _begun(self, network: nn.Module) -> AveragedModel:
        if self.averaged is None:
            self.averaged = AveragedModel(network, multi_avg_fn=self._move, use_buffers=True)
        return self.averaged

    def _move(self, averaged: Tensors, current: Tensors, _: Tensor | int) -> None:
        assert self.averaged is not None
        count = int(self.averaged.n_averaged)  # on the CPU, where the argument is a copy that makes the device wait
        if not (averaged[0].is_floating_point() or averaged[0].is_complex()):
            for own, new in zip(averaged, current, strict=True):  # torch's averages would round an index down
                own.copy_(new)
        elif self.spec.kind == "swa":
            get_swa_multi_avg_fn()(averaged, current, count)
        else:
            get_ema_multi_avg_fn(min(self.spec.decay, (1 + count) / (10 + count)))(averaged, current, count)

    @contextmanager
    def put_in(self, network: nn.Module, settle: Callable[[nn.Module], None] | None = None) -> Iterator[None]:
        """The network has the averaged weights inside; settle(network) then estimates its statistics, for swa."""
        if self.averaged is None:
            yield
            return
        own = copy.deepcopy(network.state_dict())
        try:
            network.load_state_dict(self.averaged.module.state_dict())
            if settle is not None and self.spec.kind == "swa":
                settle(network)
            yield
        finally:
            network.load_state_dict(own)

    def state_dict(self) -> dict[str, Any]:
        """What load_state_dict takes."""
        return {"averaged": None if self.averaged is None else self.averaged.state_dict()}

    def load_state_dict(self, state: dict[str, Any], network: nn.Module) -> None:
        """Go on from a saved average of this network."""
        self.averaged = None
        if state["averaged"] is not None:
            self._begun(network).load_state_dict(state["averaged"])


def norms_of(network: nn.Module) -> list[nn.Module]:
    """The layers with running statistics."""
    kinds = nn.modules.batchnorm._NormBase
    return [m for m in network.modules() if isinstance(m, kinds) and m.track_running_stats]


@contextmanager
def estimating(network: nn.Module) -> Iterator[None]:
    """Forward passes inside set the running statistics to their mean over batches; nothing else is in training mode."""
    # Not torch's update_bn: that lets dropout draw, passes over instance norm and changes the mode of frozen layers.
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
