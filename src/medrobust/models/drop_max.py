"""Drop-max pooling: the second largest value of each window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from .layers import replace_module

CHUNK = 1 << 18  # elements worked on at a time on a CPU, so that they stay in its cache


class DropMax(nn.Module):
    """y = second largest of each window (Sun et al. 2022, arXiv:2205.01674), in the place of max-pooling.

    Maps (n, c, h, w) to the size that nn.MaxPool2d gives. Outside the image is -inf, and a window with one pixel of the
    image gives that pixel. Where the largest value occurs twice, it is also the second largest. The gradient goes to
    one element that has the value, the first in reading order. Values are compared exactly; gradients of gradients
    work.

    Args:
        kernel_size, stride, padding: as in nn.MaxPool2d; kernel_size at least 2, padding at most half of it.

    Errors: ValueError for other sizes.

    Example:
        >>> DropMax(2)(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
        tensor([[[[3.]]]])
    """

    def __init__(self, kernel_size: int, stride: int | None = None, padding: int = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride or kernel_size, padding
        if kernel_size < 2 or not 0 <= padding <= kernel_size // 2:
            raise ValueError(f"needs kernel_size >= 2 and padding <= kernel_size / 2, got {kernel_size}, {padding}")

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h', w'), with the sizes of nn.MaxPool2d."""
        out: Tensor = _SecondLargest.apply(x, self.kernel_size, self.stride, self.padding)
        return out

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _SecondLargest(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel_size: int, stride: int, padding: int) -> Tensor:
        shape = (kernel_size, stride, padding)
        rows, columns = ((size + 2 * padding - kernel_size) // stride + 1 for size in x.shape[2:])
        out = torch.empty((len(x), rows, columns, x.shape[1]), dtype=x.dtype, device=x.device).permute(0, 3, 1, 2)
        for part in _chunks(x, padding):
            padded = _padded(x[part], padding, -torch.inf)
            across = _top_two([_strided(padded, 2, j, stride, columns) for j in range(kernel_size)])
            largest, second = ([_strided(t, 1, i, stride, rows) for i in range(kernel_size)] for t in across)
            found = _top_two(largest)[1]
            for other in second:
                torch.maximum(found, other, out=found)
            out[part] = found.permute(0, 3, 1, 2)
        (row, i), (column, j) = (_alone(x.shape[d], *shape, out.shape[d]) for d in (2, 3))
        out[:, :, row[:, None], column] = x[:, :, i[:, None], j]
        ctx.save_for_backward(x, out)
        ctx.shape = shape
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, out = ctx.saved_tensors
        return _Spread.apply(grads[0], x, out, *ctx.shape), None, None, None


class _Spread(torch.autograd.Function):
    """The gradients of the outputs, put where the outputs came from: linear in the gradients."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, x: Tensor, out: Tensor, k: int, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, out)
        ctx.shape = (k, stride, padding)
        spread = torch.empty_like(x.permute(0, 2, 3, 1), memory_format=torch.contiguous_format).permute(0, 3, 1, 2)
        for part in _chunks(x, padding):
            padded = _padded(x[part], padding, torch.nan)
            rest, total = _last(grad[part]).clone(), torch.zeros_like(padded)
            for view, place in _selected(padded, _last(out[part]), k, stride, total):
                view.mul_(rest)
                place.add_(view)
                rest.sub_(view)
            inside = total[:, padding : padding + x.shape[2], padding : padding + x.shape[3]]
            spread[part] = inside.permute(0, 3, 1, 2)
        return spread

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, out = ctx.saved_tensors
        k, stride, padding = ctx.shape
        back = torch.zeros_like(out)
        padded = _padded(x, padding, torch.nan)
        slope = F.pad(_last(grads[0]), (0, 0, padding, padding, padding, padding))
        rest = torch.ones_like(_last(out))
        for view, place in _selected(padded, _last(out), k, stride, slope):
            view.mul_(rest)
            rest.sub_(view)
            back += (view * place).permute(0, 3, 1, 2)
        return back, None, None, None, None, None


def _chunks(x: Tensor, padding: int) -> Iterator[tuple[slice, slice]]:
    """Parts of the batch and of the channels: all at once on a GPU, what fits the cache on a CPU."""
    if x.device.type != "cpu":
        yield slice(None), slice(None)
        return
    plane = (x.shape[2] + 2 * padding) * (x.shape[3] + 2 * padding)
    channels = min(x.shape[1], max(16, CHUNK // plane))
    for i in range(len(x)):
        for c in range(0, x.shape[1], channels):
            yield slice(i, i + 1), slice(c, c + channels)


def _last(x: Tensor) -> Tensor:
    """(n, c, h, w) as a contiguous (n, h, w, c): then strided windows are read in runs."""
    return x.permute(0, 2, 3, 1).contiguous()


def _padded(x: Tensor, padding: int, value: float) -> Tensor:
    """(n, h', w', c) with a value around the image: -inf is below every pixel, NaN equals none."""
    n, c, h, w = x.shape
    out = x.new_full((n, h + 2 * padding, w + 2 * padding, c), value)
    out[:, padding : padding + h, padding : padding + w] = x.permute(0, 2, 3, 1)
    return out


def _alone(size: int, kernel_size: int, stride: int, padding: int, count: int) -> tuple[Tensor, Tensor]:
    """Along one side, the windows that hold one line of the image, and that line."""
    first = torch.arange(count) * stride - padding
    begin, end = first.clamp_min(0), (first + kernel_size).clamp_max(size)
    window = (end - begin == 1).nonzero()[:, 0]
    return window, begin[window]


def _strided(x: Tensor, dim: int, first: int, stride: int, count: int) -> Tensor:
    """Every stride-th slice of a dimension, count of them."""
    index = [slice(None)] * x.ndim
    index[dim] = slice(first, first + stride * (count - 1) + 1, stride)
    return x[tuple(index)]


def _top_two(values: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The largest and the second largest of tensors of one shape, element by element."""
    largest, second = torch.maximum(values[0], values[1]), torch.minimum(values[0], values[1])
    for value in values[2:]:
        torch.maximum(second, torch.minimum(largest, value), out=second)
        torch.maximum(largest, value, out=largest)
    return largest, second


def _selected(padded: Tensor, out: Tensor, k: int, stride: int, other: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """For each place in the window, 1 where it holds the output's value; and that place of another padded tensor."""
    equal = torch.empty_like(out)
    for i in range(k):
        for j in range(k):
            views = (
                _strided(_strided(t, 1, i, stride, out.shape[1]), 2, j, stride, out.shape[2]) for t in (padded, other)
            )
            yield torch.eq(next(views), out, out=equal), next(views)


def drop_first_max(network: nn.Module) -> nn.Module:
    """Put DropMax in the place of the first max-pooling layer, in place.

    Errors: UserError when there is none, or it has a form that DropMax lacks (dilation, ceil_mode).
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.MaxPool1d | nn.MaxPool3d):
            raise UserError("model.drop_max", f"cannot take the place of {name}: {module}, it is for images in 2-D")
        if isinstance(module, nn.MaxPool2d):
            numbers = [module.kernel_size, module.stride, module.padding, module.dilation]
            square = [n if isinstance(n, int) else n[0] if len(set(n)) == 1 else None for n in numbers]
            kernel_size, stride, padding, dilation = square
            if None in square or dilation != 1 or module.ceil_mode:
                raise UserError("model.drop_max", f"cannot take the place of {name}: {module}")
            replace_module(network, name, DropMax(int(kernel_size or 0), stride, int(padding or 0)))
            return network
    raise UserError("model.drop_max", "the network has no max-pooling layer", "leave it out")
