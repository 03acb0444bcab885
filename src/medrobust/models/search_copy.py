"""A copy of a classifier for searching: the same answers to within rounding, several times faster."""

from __future__ import annotations

import copy
from collections.abc import Container, Iterator

import torch
from torch import Tensor, nn

from ..memory_order import ORDERS, channels_last
from .classifier import Classifier
from .fold import fold_batch_norm
from .inputs import number_type
from .layers import first_convolution, replace_module

# A search model may round, but its answers must stay those of the classifier.
MOST_DIFFERENT = 0.1
LIKE = 0.9  # cosine of gradients
HALF = (torch.float16, torch.bfloat16)
SINGLE = "float32"  # how the words of a copy in single precision begin
LOW = "bfloat16 after a float32 first layer"
UNCHANGED = f"{SINGLE}, unchanged"


class Float32First(nn.Module):
    """The first convolution in float32, its output in low precision: small changes of a pixel are not rounded away."""

    def __init__(self, convolution: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.convolution, self.dtype = convolution, dtype

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of x (n, c, *spatial), in low precision."""
        return self.convolution(x.float()).to(self.dtype)


class InOrder(nn.Module):
    """Images in the memory order of the network's weights: channels last, or one channel after the other."""

    def __init__(self, network: nn.Module, last: bool) -> None:
        super().__init__()
        self.network, self.last = network, last

    def forward(self, x: Tensor) -> Tensor:
        """What the network gives for x (n, c, *spatial)."""
        return self.network(channels_last(x) if self.last else x.contiguous())


def low_precision(device: torch.device) -> torch.dtype | None:
    """bfloat16 where the device multiplies it in hardware, else None."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    from torch.backends import mkldnn

    has = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
    return torch.bfloat16 if mkldnn.is_available() and (has or amx) else None


def _converted(model: Classifier, example: Tensor, dtype: torch.dtype | None, last: bool) -> Classifier:
    network = copy.deepcopy(model.network).eval().requires_grad_(False)
    if number_type(network) in HALF:
        network = network.float()  # an attack that probes in small steps sees nothing of them in 11 bits
    network = fold_batch_norm(network)
    if dtype is not None:
        name, first = first_convolution(network)
        exact = copy.deepcopy(first).float()
        network = network.to(dtype)
        replace_module(network, name, Float32First(exact, dtype))
    order = ORDERS.get(example.ndim) if last else torch.contiguous_format
    if order is not None:
        network = network.to(memory_format=order)
    fast = copy.copy(model)
    fast._modules = {**model._modules, "network": InOrder(network, last)}
    return fast.eval().requires_grad_(False)


def alike_copies(
    model: Classifier, example: Tensor, precision: str = "fast", wanted: Container[str] | None = None
) -> Iterator[tuple[Classifier, str]]:
    """The copies that answer as the model does on example (n, c, *spatial), each with what it is in words.

    float32 keeps the precision and changes the memory order and batch normalization only. fast also computes in
    bfloat16, except for the first convolution, where the device has it. A network in 16 bits is searched in float32. A
    copy whose logits differ by more than MOST_DIFFERENT of their spread, or that does not run, is left out; the last is
    the model itself. With `wanted`, no copies but those of these words are made.
    """
    low = low_precision(example.device) if precision == "fast" else None
    kinds: list[tuple[torch.dtype | None, bool, str]] = [(None, True, SINGLE), (None, False, f"{SINGLE}, contiguous")]
    if low is not None:
        kinds.insert(0, (low, True, LOW))
    with torch.no_grad():
        truth = model(example)
    spread = float((truth - truth.mean(1, keepdim=True)).abs().max().clamp_min(1e-3))
    for dtype, last, words in kinds:
        if wanted is not None and words not in wanted:
            continue
        try:
            fast = _converted(model, example, dtype, last)
            with torch.no_grad():
                gap = float((fast(example) - truth).abs().max())
        except Exception:  # any network may refuse another precision or memory order, and is then searched without
            continue
        allowed = MOST_DIFFERENT if dtype is not None or number_type(model.network) in HALF else 1e-3
        if gap <= allowed * spread:
            yield fast, words
    yield model, UNCHANGED


def same_gradients(copy: Classifier, model: Classifier, x: Tensor) -> bool:
    """Whether the gradients of a copy point where those of the model do; a backward pass of its own may get lost.

    Args:
        copy, model: classifiers that answer alike.
        x: (n, c, *spatial), a few images.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        >>> model = Classifier(net, channels=1)
        >>> same_gradients(model, model, torch.rand(2, 1, 2, 2))
        True
    """
    a, b = (_slope(one, x) for one in (copy, model))
    return bool((torch.cosine_similarity(a, b) >= LIKE).all()) or not bool(a.any() or b.any())


def _slope(model: Classifier, x: Tensor) -> Tensor:
    """(n, d) float64: the gradients of the margins of the top two logits."""
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        top = model(leaf).topk(2, 1).values
        (grad,) = torch.autograd.grad((top[:, 0] - top[:, 1]).sum(), leaf)
    return grad.flatten(1).double()


def search_copy(model: Classifier, example: Tensor, precision: str = "fast") -> tuple[Classifier, str]:
    """The first of alike_copies: the copy that is the fastest one for most networks."""
    return next(alike_copies(model, example, precision))
