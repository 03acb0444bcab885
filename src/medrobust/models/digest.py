"""What decides the answers of a model, as one hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from .classifier import Classifier


def weights_digest(model: Classifier) -> str:
    """SHA-256 hex of everything that decides the model's answers; of a network without a name, its layers too."""
    said = (model.classes, model.head, model.domain, model.channels, model.spec)
    text = repr(said) if model.spec else repr((*said, repr(model.network)))
    return state_digest({**model.state_dict(), "mean": model.mean, "std": model.std}, text)


def state_digest(state: Mapping[str, Tensor], text: str = "") -> str:
    """SHA-256 hex of tensors by name, after a text.

    Example:
        >>> state_digest({"a": torch.zeros(2)}) == state_digest({"a": torch.zeros(3)})
        False
    """
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(state.items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
