"""The network as it is judged and saved: averaged where wanted, and the same in all processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..data.images.image_set import ImageSet
from ..models.classifier import Classifier
from .average import Average, estimating, norms_of
from .order import training_batches


@contextmanager
def judged(
    fabric: Any, model: Classifier, average: Average, train: ImageSet, batch_size: int, channels_last: bool
) -> Iterator[None]:
    """Inside the context the model is what is judged and saved; after it, its own weights are back.

    With swa, running statistics are estimated anew on the training images, in full batches and without augmentation.
    Other running statistics are those of the first process.
    """

    def settle(network: nn.Module) -> None:
        if not norms_of(network):
            return
        share = {"rank": fabric.global_rank, "world_size": fabric.world_size}
        # A fixed order that mixes classes: sets are sorted by them.
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
        with estimating(network):
            for batch in training_batches(train, order, batch_size, **share):
                x = batch.x.to(fabric.device)
                model(x.contiguous(memory_format=torch.channels_last) if channels_last and x.ndim == 4 else x)
        for buffer in _statistics(network):
            buffer.copy_(fabric.all_reduce(buffer, reduce_op="mean"))

    with average.put_in(model.network, settle):
        if fabric.world_size > 1:
            for buffer in _statistics(model.network):
                buffer.copy_(fabric.broadcast(buffer, src=0))
        yield


def _statistics(network: nn.Module) -> list[Tensor]:
    return [buffer for buffer in network.buffers() if buffer.is_floating_point()]
