"""A copy of a classifier for searching: the same answers to within rounding, several times faster."""

from __future__ import annotations

import copy
import warnings

import torch
from torch import Tensor, nn

from ..memory_order import ORDERS, channels_last
from .classifier import Classifier
from .layers import first_convolution, replace_module

# A search model may round, but its answers must stay those of the classifier.
MOST_DIFFERENT = 0.1


class Float32First(nn.Module):
    """The first convolution in float32, its output in low precision: small changes of a pixel are not rounded away."""

    def __init__(self, convolution: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.convolution, self.dtype = convolution, dtype

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of x (n, c, *spatial), in low precision."""
        return self.convolution(x.float()).to(self.dtype)


class ChannelsLast(nn.Module):
    """Images in the memory order that the kernels of low precision want."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """What the network gives for x (n, c, *spatial)."""
        return self.network(channels_last(x))


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """The network with every batch normalization folded into the convolution before it, exact in evaluation mode.

    A network that torch.fx cannot trace is returned as it is.
    """
    from torch.fx.experimental.optimization import fuse

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fuse(network, inplace=False)
    except Exception:  # fx meets any Python code at all; a network that it cannot trace is searched as it is
        return network


def low_precision(device: torch.device) -> torch.dtype | None:
    """bfloat16 where the device multiplies it in hardware, else None."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    from torch.backends import mkldnn

    has = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
    return torch.bfloat16 if mkldnn.is_available() and (has or amx) else None


def _converted(model: Classifier, example: Tensor, dtype: torch.dtype | None) -> Classifier:
    network = fold_batch_norm(copy.deepcopy(model.network).eval().requires_grad_(False))
    if dtype is not None:
        name, first = first_convolution(network)
        exact = copy.deepcopy(first)
        network = network.to(dtype)
        replace_module(network, name, Float32First(exact, dtype))
    order = ORDERS.get(example.ndim)
    if order is not None:
        network = network.to(memory_format=order)
    fast = copy.copy(model)
    fast._modules = {**model._modules, "network": ChannelsLast(network)}
    return fast.eval().requires_grad_(False)


def search_copy(model: Classifier, example: Tensor, precision: str = "fast") -> tuple[Classifier, str]:
    """The fastest copy that answers as the model does on example (n, c, *spatial), and what it is, in words.

    float32 keeps the precision and changes the memory order and batch normalization only. fast also computes in
    bfloat16, except for the first convolution, where the device has it. A copy whose logits differ by more than
    MOST_DIFFERENT of their spread, or that does not run, is not used.
    """
    kinds = [low_precision(example.device), None] if precision == "fast" else [None]
    with torch.no_grad():
        truth = model(example)
    spread = float((truth - truth.mean(1, keepdim=True)).abs().max().clamp_min(1e-3))
    for dtype in dict.fromkeys(kinds):
        try:
            fast = _converted(model, example, dtype)
            with torch.no_grad():
                gap = float((fast(example) - truth).abs().max())
        except Exception:  # any network may refuse another precision or memory order, and is then searched without
            continue
        allowed = MOST_DIFFERENT if dtype is not None else 1e-3
        if gap <= allowed * spread:
            return fast, "bfloat16 after a float32 first layer" if dtype is not None else "float32"
    return model, "float32, unchanged"
