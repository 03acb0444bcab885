"""Probabilities that a torch.autograd.Function of its own makes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from medrobust.models.wrap import as_classifier


class Hidden(torch.autograd.Function):
    """A softmax with a backward pass of its own, whose inside is seen without a gradient."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        p = torch.exp(3 * z) / torch.exp(3 * z).sum(1, keepdim=True)
        ctx.save_for_backward(p)
        return p

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        (p,) = ctx.saved_tensors
        return 3 * p * (grad - (p * grad).sum(1, keepdim=True))


def test_probabilities_of_a_function_of_its_own_keep_their_gradient() -> None:
    """Logits that were seen inside of it have none: they are computed back, and the head says so."""

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return Hidden.apply(self.linear(x.flatten(1)))

    network = Network()
    linear = network.linear

    x = torch.rand(3, 1, 2, 2)
    model = as_classifier(network, x, ("a", "b"))
    leaf = x.clone().requires_grad_()
    logits = model(leaf)
    (grad,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), leaf)
    expected = 3 * (linear.weight[1] - linear.weight[0]).expand(3, -1)
    assert torch.allclose(grad.flatten(1), expected, atol=1e-5)
    assert model.head == "probabilities"
    assert model.head_note
