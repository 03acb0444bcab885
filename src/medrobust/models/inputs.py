"""What a network is given: images in its own type of number and in memory of their own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NUMBERS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def number_type(network: nn.Module) -> torch.dtype | None:
    """The type of the weights that see the image: the first convolution's, else the first parameter's; None without.

    Example:
        >>> number_type(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).double())
        torch.float64
    """
    for module in network.modules():
        if isinstance(module, CONVOLUTIONS) and isinstance(module.weight, Tensor):
            return module.weight.dtype
    return next((p.dtype for p in network.parameters() if p.dtype in NUMBERS), None)


def own_copy(x: Tensor, source: Tensor, wanted: torch.dtype | None) -> Tensor:
    """x in the type wanted, never in the memory of source: a network that writes into its input harms nobody."""
    if wanted is not None and x.dtype != wanted and not torch.is_autocast_enabled(x.device.type):
        x = x.to(wanted)
    return x.clone() if x.untyped_storage().data_ptr() == source.untyped_storage().data_ptr() else x


class Rescaled:
    """Carries gradients through a float16 network that would vanish in it: each image's is scaled there and back.

    float16 ends at 6e-8, and the gradient of a saturated cross-entropy is smaller. `enter` goes before the network and
    `leave` behind its logits; their values pass unchanged. Images must not see each other, as in evaluation mode.

    Example:
        >>> x, pair = torch.ones(1, 1, requires_grad=True), Rescaled()
        >>> logits = pair.leave(pair.enter(x).float())
        >>> torch.autograd.grad(1e-9 * logits.sum(), x)[0].item() > 0
        True
    """

    def __init__(self) -> None:
        self.size: Tensor | None = None

    def enter(self, x: Tensor) -> Tensor:
        """x (n, ...) in float16."""
        entered: Tensor = _Enter.apply(x, self)
        return entered

    def leave(self, logits: Tensor) -> Tensor:
        """logits (n, k) as they are."""
        left: Tensor = _Leave.apply(logits, self)
        return left


class _Enter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, pair: Rescaled) -> Tensor:
        ctx.pair, ctx.dtype = pair, x.dtype
        return x.half()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        grad = grads[0].to(ctx.dtype)
        size = ctx.pair.size
        return (grad if size is None else grad * size.reshape(-1, *[1] * (grad.ndim - 1)).to(grad)), None


class _Leave(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, pair: Rescaled) -> Tensor:
        ctx.pair = pair
        return logits.view_as(logits)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        size = grads[0].abs().amax(1, keepdim=True)
        size = torch.where((size > 0) & size.isfinite(), size, 1)
        ctx.pair.size = size
        return grads[0] / size, None
