"""What decides the answers of a model, as one hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .classifier import Classifier


def weights_digest(model: Classifier) -> str:
    """SHA-256 hex of everything that decides the model's answers; of a network without a name, its layers too."""
    said: tuple[object, ...] = (model.classes, model.head, model.domain, model.channels, model.spec)
    if model.output_classes != model.classes:
        said = (*said, model.output_classes)
    text = repr(said) if model.spec else repr((*said, repr(model.network)))
    return state_digest({**model.state_dict(), "mean": model.mean, "std": model.std}, text)


def state_digest(state: Mapping[str, Any], text: str = "") -> str:
    """SHA-256 hex of tensors by name, after a text. Other values, as quantized layers keep them, count as they print.

    Example:
        >>> state_digest({"a": torch.zeros(2)}) == state_digest({"a": torch.zeros(3)})
        False
    """
    digest = hashlib.sha256(text.encode())
    for name, value in sorted(state.items()):
        for part in value if isinstance(value, (tuple, list)) else (value,):
            if not isinstance(part, Tensor):
                digest.update(f"{name}{part!r}".encode())
                continue
            digest.update(f"{name}{tuple(part.shape)}".encode())
            plain = part.dequantize() if part.is_quantized else part
            digest.update(plain.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
