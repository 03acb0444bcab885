"""Models that know which image each row is: counting what an attack costs, exactly, per image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

Self = TypeVar("Self", bound="PerImage")


class PerImage(ABC):
    """A model with something for each image of its batch: attacks that drop images pass it on through `narrow`."""

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """Logits of x (m * n, ...), for n images m candidates each, one block of all images after the other."""

    @abstractmethod
    def narrow(self: Self, index: Tensor) -> Self:
        """The same for a batch of the images at index (bool mask or positions)."""


class Counted(PerImage):
    """A model that counts the forwards and backwards of each image it is shown.

    Attacks that drop images pass the rest of the batch through `narrow`, so that the counts go to the right ones.

    Args:
        model: x (n, c, *spatial) -> logits.
        n: images of the whole batch.
        rows: positions of the images shown in the whole batch; by default all of them.

    Errors: ValueError when the number of images shown is no multiple of the number of rows.

    Example:
        >>> model = Counted(lambda x: x.flatten(1), 3)
        >>> _ = model(torch.zeros(3, 2)), narrow(model, torch.tensor([1]))(torch.zeros(1, 2))
        >>> model.forwards.tolist()
        [1, 2, 1]
    """

    def __init__(self, model: Callable[[Tensor], Tensor], n: int, rows: Tensor | None = None) -> None:
        self.model = model
        self.rows = torch.arange(n) if rows is None else rows
        self.forwards = torch.zeros(n, dtype=torch.int64)
        self.backwards = torch.zeros(n, dtype=torch.int64)

    def __call__(self, x: Tensor) -> Tensor:
        if len(x) % len(self.rows):
            raise ValueError(f"{len(x)} images shown to a model narrowed to {len(self.rows)}: use narrow(model, index)")
        # Several candidates per image, one block after the other, are several forwards of that image.
        rows = self.rows.repeat(len(x) // len(self.rows))
        self.forwards.index_add_(0, rows, torch.ones_like(rows))
        logits = self.model(x)
        if logits.requires_grad:
            logits.register_hook(lambda grad: self._count_backward(rows))
        return logits

    def _count_backward(self, rows: Tensor) -> None:
        self.backwards.index_add_(0, rows, torch.ones_like(rows))

    def narrow(self, index: Tensor) -> Counted:
        """The same counters, for a batch of the images at index (bool mask or positions)."""
        part = Counted(narrow(self.model, index), 0, self.rows[index.cpu()])
        part.forwards, part.backwards = self.forwards, self.backwards
        return part


def narrow(model: Callable[[Tensor], Tensor], index: Tensor) -> Callable[[Tensor], Tensor]:
    """The model for the images at index of its batch; the model itself when it has nothing for each image."""
    return model.narrow(index) if isinstance(model, PerImage) else model
