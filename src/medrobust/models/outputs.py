"""What networks return, as one tensor (n, k)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..errors import UserError

# How the answer is called among several outputs; logits before probabilities.
NAMES = (
    *("logits", "logit", "output", "outputs", "out", "y_hat", "y_pred", "pred", "preds", "prediction", "predictions"),
    *("scores", "score", "probabilities", "probability", "probs", "prob"),
)


def answer(out: Any, num_images: int, num_classes: int = 0) -> Tensor:
    """The outputs (n, k) among whatever a network returns for n images.

    A tensor, or the one of a tuple, list, mapping, named tuple, dataclass or object that has a usual name, or the only
    one (of a tuple the first) with a column a class. A batch of one may have lost its first dimension.

    Args:
        num_classes: columns wanted; two may be one column. 0 when it is not known.

    Errors: UserError when there is no such tensor, or several and no telling which.

    Example:
        >>> import torch
        >>> answer({"features": torch.zeros(4, 9), "prob": torch.ones(4, 1)}, 4, 2).shape
        torch.Size([4, 1])
    """
    if isinstance(out, Tensor):
        return _rows(out, num_images)
    named = _named(out)
    if named is None:
        parts = [part for part in out if isinstance(part, Tensor)] if isinstance(out, (tuple, list)) else []
        found = [part for part in parts if _fits(part, num_images, num_classes)] or parts
        if found:
            return _rows(found[0], num_images)
        if isinstance(out, (tuple, list)) and out:
            return answer(out[0], num_images, num_classes)
        raise UserError("model", f"the network returns a {type(out).__name__}", "it must return a tensor (n, classes)")
    fitting = [name for name, part in named.items() if _fits(part, num_images, num_classes)] or list(named)
    chosen = next((name for name in NAMES if name in fitting), fitting[0] if len(fitting) == 1 else None)
    if chosen is None:
        what = f"several outputs ({', '.join(named)})" if named else f"a {type(out).__name__} without a tensor"
        raise UserError("model", f"the network returns {what}", "let forward return one tensor, or call it logits")
    return _rows(named[chosen], num_images)


def _named(out: Any) -> dict[str, Tensor] | None:
    """The tensors of a mapping, named tuple, dataclass or plain object by name; None for what has no names."""
    if isinstance(out, Mapping):
        content: Mapping[Any, Any] = out
    elif hasattr(out, "_asdict"):
        content = out._asdict()
    elif dataclasses.is_dataclass(out):
        content = {field.name: getattr(out, field.name) for field in dataclasses.fields(out)}
    elif hasattr(out, "__dict__") and not isinstance(out, (tuple, list)):
        content = vars(out)
    else:
        return None
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _fits(out: Tensor, num_images: int, num_classes: int) -> bool:
    try:
        columns = _rows(out, num_images).shape[1]
    except UserError:
        return False
    usual = columns == num_classes or (num_classes == 2 and columns == 1)
    return out.is_floating_point() and (usual or not num_classes)


def _rows(out: Tensor, num_images: int) -> Tensor:
    """(n, k), from (n,), (n, k, 1, 1), or for one image () and (k,)."""
    shape = tuple(out.shape)
    if not out.is_floating_point():
        reason = f"the network returns whole numbers ({out.dtype}), perhaps the class itself"
        raise UserError("model", reason, "it must return logits or probabilities (n, classes)")
    if num_images == 1 and out.ndim < 2:
        return out.reshape(1, -1)
    if out.ndim == 1:
        out = out[:, None]
    if out.ndim > 2 and all(side == 1 for side in shape[2:]):
        out = out.flatten(1)
    if out.ndim != 2 or len(out) != num_images:
        raise UserError("model", f"the network returns {shape} for {num_images} images", "it must return (n, classes)")
    return out
