"""What a map explains: one number for each image, made of its logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Model = Callable[[Tensor], Tensor]
Score = Literal["margin", "logit"]
SCORES = ("margin", "logit")


def predicted(model: Model, x: Tensor) -> Tensor:
    """The class (n,) that the model answers for images (n, c, *spatial)."""
    with torch.no_grad():
        return model(x).argmax(1)


def score_of(logits: Tensor, target: Tensor, score: Score = "margin") -> Tensor:
    """(n,) by how much the logits (n, k) are for the classes (n,).

    margin: z_target - max of the other logits. logit: z_target alone, as most papers have it; of a network with one
    output, whose logits are (0, z), the logit of class 0 is always 0 and has no gradient.

    Errors: ValueError for another word.

    Example:
        >>> score_of(torch.tensor([[1.0, 4.0, 2.0]]), torch.tensor([1])).tolist()
        [2.0]
    """
    if score not in SCORES:
        raise ValueError(f"score is {score!r}, not one of {', '.join(SCORES)}")
    own = logits.gather(1, target[:, None])[:, 0]
    if score == "logit":
        return own
    return own - logits.scatter(1, target[:, None], -torch.inf).amax(1)


def targets(model: Model, x: Tensor, target: Tensor | int | None) -> Tensor:
    """The classes (n,) to explain: the given ones, or what the model answers."""
    if target is None:
        return predicted(model, x)
    return torch.as_tensor(target, dtype=torch.long, device=x.device).expand(len(x))


def gradient(model: Model, x: Tensor, target: Tensor, score: Score = "margin") -> Tensor:
    """The gradient (n, c, *spatial) of the score by the images; gradients of the weights are left as they are."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        total = score_of(model(x), target, score).sum()
    return torch.autograd.grad(total, x)[0]
