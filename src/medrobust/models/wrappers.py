"""Models that gradients cannot see through, made visible: the model is wrapped, the attack stays as it is."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Map = Callable[[Tensor], Tensor]


def _identity(x: Tensor) -> Tensor:
    return x


class StraightThrough(nn.Module):
    """The value of forward(x), with the derivative of backward(x)."""

    def __init__(self, forward: Map, backward: Map = _identity) -> None:
        super().__init__()
        self.there, self.back = forward, backward

    def forward(self, x: Tensor) -> Tensor:
        """forward(x), which backward(x) must equal in shape."""
        with torch.no_grad():
            value = self.there(x)
        smooth = self.back(x)
        # smooth - smooth is exactly 0, so the value is that of forward, bit for bit.
        return value + (smooth - smooth.detach())


def bpda(network: nn.Module, forward: Map, backward: Map = _identity) -> nn.Sequential:
    """network(forward(x)) with the gradient of network(backward(x)): backward pass differentiable approximation.

    For preprocessing without a useful gradient: JPEG, quantization, median filters, denoisers, detach
    (Athalye et al. 2018, arXiv:1802.00420).

    Args:
        network: what follows the preprocessing.
        forward: the preprocessing, x -> x' of the same shape or whatever network takes.
        backward: a differentiable stand-in with the same output shape; the identity by default.

    Errors: whatever PyTorch raises when forward(x) and backward(x) differ in shape.

    Example:
        >>> model = bpda(nn.Flatten(), lambda x: (x * 4).round() / 4)
        >>> x = torch.tensor([[0.3, 0.6]], requires_grad=True)
        >>> out = model(x)
        >>> out.sum().backward()
        >>> out.tolist(), x.grad.tolist()
        ([[0.25, 0.5]], [[1.0, 1.0]])
    """
    return nn.Sequential(StraightThrough(forward, backward), network)


class Averaged(nn.Module):
    """The mean of the logits of several passes."""

    def __init__(self, model: Map, num_samples: int) -> None:
        super().__init__()
        self.model = model
        self.num_samples = num_samples

    def forward(self, x: Tensor) -> Tensor:
        """(n, k) the mean logits of x (n, c, *spatial)."""
        total = self.model(x)
        # One pass after the other: a model that draws once per batch draws again each time.
        for _ in range(self.num_samples - 1):
            total = total + self.model(x)
        return total / self.num_samples


def eot(model: Map, num_samples: int = 20) -> Averaged:
    """The mean logits of a randomized model over num_samples of its own draws: expectation over transformation.

    Gradients of the mean are the mean of the gradients, so every attack becomes one on the expectation (Athalye et al.
    2018, arXiv:1707.07397). The draws are the model's own, from the global generator: seed it to repeat a result.

    Args:
        model: x -> logits, with another answer each time.
        num_samples: passes per call.

    Errors: ValueError when num_samples < 1.

    Example:
        >>> noisy = lambda x: x + torch.randn_like(x)
        >>> bool(eot(noisy, 400)(torch.ones(1, 2)).sub(1).abs().max() < 0.5)
        True
    """
    if num_samples < 1:
        raise ValueError(f"num_samples must be 1 or more, got {num_samples}")
    return Averaged(model, num_samples)
