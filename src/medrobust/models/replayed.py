"""A network replayed from CUDA graphs: one launch for a gradient, where the host would launch hundreds of kernels."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from .classifier import Classifier
from .memory import free_bytes, kept_bytes

Network = Callable[[Tensor], Tensor]
Capture = Callable[[Network, Tensor], Network]
MOST_SIZES, LEAST = 4, 8  # graphs of a network, each of half the size; images of the smallest


def cuda_graph() -> Capture:
    """Captures forward and backward of one shape; all captures share their memory, so a gradient ends before the next.

    What a replay gives is copied, for the next replay writes into the same place.
    """
    pool = torch.cuda.graph_pool_handle()

    def capture(network: Network, example: Tensor) -> Network:
        torch.cuda.empty_cache()  # nothing can be freed while a graph is captured
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The AccumulateGrad node's stream")  # no gradient is accumulated
            replay = torch.cuda.make_graphed_callables(lambda x: network(x), (example,), pool=pool)
        return lambda x: _Copied.apply(replay(_Copied.apply(x)))

    return capture


class _Copied(torch.autograd.Function):
    """A copy, forwards and backwards."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> Tensor:
        return grads[0].clone()


class Replayed(nn.Module):
    """The same answers as a network, for batches of up to a size, each filled up to the next of a few fixed sizes.

    Args:
        network: x (n, c, *spatial) -> (n, k), sample by sample; frozen.
        example: (1, c, *spatial), on the device where it runs.
        batch_size: the largest batch; larger ones run on the network itself.
        capture: makes the callable of one fixed size; what `cuda_graph` gives, or for a test the network as it is.
        most_sizes: sizes that are captured, each half of the one before.

    Example:
        >>> net = Replayed(lambda x: x.flatten(1), torch.zeros(1, 1, 2, 2), 16, capture=lambda network, x: network)
        >>> net.sizes, net(torch.zeros(3, 1, 2, 2)).shape
        ((16, 8), torch.Size([3, 4]))
    """

    def __init__(
        self, network: Network, example: Tensor, batch_size: int, capture: Capture, most_sizes: int = MOST_SIZES
    ) -> None:
        super().__init__()
        self.network = network
        self.sizes = _halvings(batch_size, most_sizes)
        self._calls = {}
        for size in self.sizes:
            filled = example.expand(size, *example.shape[1:]).clone(memory_format=torch.preserve_format)
            self._calls[size] = capture(network, filled.contiguous(memory_format=_order(example)).requires_grad_())

    def forward(self, x: Tensor) -> Tensor:
        """(n, k) of x (n, c, *spatial)."""
        size = min((size for size in self.sizes if size >= len(x)), default=None)
        if size is None or not len(x):
            return self.network(x)
        missing = size - len(x)
        if missing:
            x = torch.cat([x, x[:1].detach().expand(missing, *x.shape[1:])])
        logits = self._calls[size](x.contiguous(memory_format=_order(x)))
        return logits[: size - missing] if missing else logits


def _order(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.ndim == 4 else torch.contiguous_format


def _halvings(batch_size: int, most: int) -> tuple[int, ...]:
    sizes = [batch_size]
    while sizes[-1] // 2 >= LEAST and len(sizes) < most:
        sizes.append(sizes[-1] // 2)
    return tuple(sizes)


def replayed(
    network: Network,
    example: Tensor,
    batch_size: int,
    tolerance: float,
    capture: Capture | None = None,
    most_sizes: int = MOST_SIZES,
) -> Replayed | None:
    """The network from CUDA graphs, where the device has them and they answer as it does; else None.

    Args:
        network: frozen.
        example: (n, c, *spatial) images on the device.
        batch_size, most_sizes: see Replayed.
        tolerance: largest difference of a logit.
        capture: other than CUDA graphs, for a test.
    """
    if capture is None:
        if not example.is_cuda:
            return None
        capture = cuda_graph()
        # All sizes together keep twice what the largest keeps; memory that runs out in a capture ends the process.
        torch.cuda.empty_cache()
        if isinstance(network, Classifier) and 2 * batch_size * kept_bytes(network, example) > free_bytes(
            example.device
        ):
            return None
    gradient = partial(_gradient, x=example)
    try:
        found = Replayed(network, example[:1], batch_size, capture, most_sizes)
        (logits, grad), (truth, slope) = gradient(found), gradient(network)
    except Exception:  # any network may do what cannot be captured, and then runs as it is
        return None
    same = bool((logits - truth).abs().max() <= tolerance)
    # Half of the slope: kernels of another size round in another way, and a graph gone wrong is not nearly right.
    return found if same and bool((grad - slope).norm() <= 0.5 * slope.norm()) else None


def _gradient(network: Network, x: Tensor) -> Sequence[Tensor]:
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        logits = network(leaf)
        (grad,) = torch.autograd.grad(logits.float().square().sum(), leaf)
    return logits.detach(), grad
