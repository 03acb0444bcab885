"""Drop-max pooling: the second largest value of each window."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserError
from .layers import replace_module

CHUNK = 1 << 19  # elements worked on at a time on a CPU, so that they stay in its cache


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
        windows = _Windows(x, kernel_size, stride, padding)
        out, index = windows.second_largest(places=ctx.needs_input_grad[0])
        if index is not None:
            ctx.save_for_backward(x, index)
        ctx.shape = (kernel_size, stride, padding)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return _Spread.apply(grads[0], *ctx.saved_tensors, *ctx.shape), None, None, None


class _Spread(torch.autograd.Function):
    """The gradients of the outputs, put where the outputs came from as max-pooling does: linear in the gradients."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, x: Tensor, index: Tensor, k: int, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(index)
        size = ([k, k], [stride, stride], [padding, padding], [1, 1], False)
        spread: Tensor = torch.ops.aten.max_pool2d_with_indices_backward(grad, x, *size, index)
        return spread

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (index,) = ctx.saved_tensors
        back = grads[0].flatten(2).gather(2, index.flatten(2)).reshape(index.shape)
        return back, None, None, None, None, None


class _Windows:
    """The windows of a pooling on images x (n, c, h, w), gone through in parts that stay in a CPU's cache."""

    def __init__(self, x: Tensor, k: int, stride: int, padding: int) -> None:
        self.x, self.k, self.stride, self.padding = x.permute(0, 2, 3, 1), k, stride, padding
        _, self.height, self.width, self.channels = self.x.shape
        self.rows, self.columns = ((size + 2 * padding - k) // stride + 1 for size in (self.height, self.width))
        # Half precision is worked on in float32, which is faster; positions in a huge image have more digits than that.
        least = torch.float64 if self.height * self.width > 1 << 24 else torch.float32
        self.dtype = torch.promote_types(x.dtype, least)

    def second_largest(self, *, places: bool) -> tuple[Tensor, Tensor | None]:
        """(n, c, rows, columns) of the windows; and where in its image each value stands first, as for unpooling."""
        n, images, rows = len(self.x), len(self.x), self.rows
        if self.x.device.type == "cpu":
            images = max(1, CHUNK // (self.height * self.width * self.channels))
            rows = max(1, CHUNK // (self.stride * self.width * self.channels))
            rows = -(-self.rows // -(-self.rows // rows))  # parts of about one size
        shape = (n, self.rows, self.columns, self.channels)
        out, index = self.x.new_empty(shape), self.x.new_empty(shape if places else 0, dtype=torch.int64)
        direct = self.x.is_contiguous() and self.x.dtype == self.dtype
        made: dict[tuple[int, int], tuple[_Values, _Places | None]] = {}
        for i in range(0, n, images):
            some = slice(i, min(i + images, n))
            pixels = self.x[some] if direct else self.x[some].to(self.dtype).contiguous()
            for first in range(0, self.rows, rows):
                band = range(first, min(first + rows, self.rows))
                if (len(pixels), first) not in made:
                    desk = _Places(self, pixels, band) if places else None
                    made[len(pixels), first] = (_Values(self, pixels, band), desk)
                values, where = made[len(pixels), first]
                part = (some, slice(band.start, band.stop))
                found = values(pixels, out[part])
                if where is not None:
                    where(pixels, found, index[part])
        return out.permute(0, 3, 1, 2), index.permute(0, 3, 1, 2) if places else None

    def along(self, i: int, size: int, band: range) -> tuple[slice, int]:
        """The windows of a band whose i-th line is in an image of this size, and that line of the first of them."""
        first = max(band.start, -(-(self.padding - i) // self.stride))
        end = max(first, min(band.stop, (size - 1 + self.padding - i) // self.stride + 1))
        return slice(first - band.start, end - band.start), first * self.stride + i - self.padding

    def alone(self, size: int, band: range) -> tuple[Tensor, Tensor]:
        """Along a side of this size, the windows of a band that hold one line of the image, and that line."""
        first = torch.arange(band.start, band.stop) * self.stride - self.padding
        begin, end = first.clamp_min(0), (first + self.k).clamp_max(size)
        window = (end - begin == 1).nonzero()[:, 0]
        return window, begin[window]


class _Values:
    """The second largest of every window of a band: first of each column of the windows, then of those."""

    def __init__(self, windows: _Windows, pixels: Tensor, band: range) -> None:
        n, _, width, c = pixels.shape
        k, padding, stride, columns = windows.k, windows.padding, windows.stride, windows.columns
        wide = [pixels.new_full((n, len(band), width + 2 * padding, c), -torch.inf) for _ in range(3)]
        self.down = [t[:, :, padding : padding + width] for t in wide]
        lines = [windows.along(i, windows.height, band) for i in range(k)]
        # Lines that all windows of the band have come first: two of them set what the others change.
        lines.sort(key=lambda line: line[0].start - line[0].stop)
        self.set = all(row == slice(0, len(band)) for row, _ in lines[:2])
        self.lines = [
            (_Every(pixels, line * width, (stride, 1), (row.stop - row.start, width)), [t[:, row] for t in self.down])
            for row, line in lines
        ]
        last = stride * (columns - 1) + 1
        self.largest, self.second = ([t[:, :, j : j + last : stride] for j in range(k)] for t in wide[:2])
        self.top, self.spare, self.found = (pixels.new_empty((n, len(band), columns, c)) for _ in range(3))
        (row, i), (column, j) = (
            windows.alone(*side) for side in ((windows.height, band), (width, range(windows.columns)))
        )
        self.alone = (row[:, None], column, i[:, None], j) if len(row) and len(column) else None

    def __call__(self, pixels: Tensor, out: Tensor) -> Tensor:
        """Write it to out (images, rows, columns, c); returns it in the type of the pixels."""
        if self.set:
            first, second = (every(pixels) for every, _ in self.lines[:2])
            torch.maximum(first, second, out=self.down[0])
            torch.minimum(first, second, out=self.down[1])
        else:
            for t in self.down[:2]:
                t.fill_(-torch.inf)
        for every, places in self.lines[2 * self.set :]:
            _insert(every(pixels), *places)
        found = out if out.dtype == pixels.dtype else self.found
        torch.maximum(self.largest[0], self.largest[1], out=self.top)
        torch.minimum(self.largest[0], self.largest[1], out=found)
        for value in self.largest[2:]:
            _insert(value, self.top, found, self.spare)
        for value in self.second:
            torch.maximum(found, value, out=found)
        if self.alone is not None:
            row, column, i, j = self.alone
            found[:, row, column] = pixels[:, i, j]
        if found is not out:
            out.copy_(found)
        return found


class _Places:
    """Where in its image each window of a band has its value: the first place in reading order."""

    def __init__(self, windows: _Windows, pixels: Tensor, band: range) -> None:
        k, stride, height, width = windows.k, windows.stride, windows.height, windows.width
        shape = (len(pixels), len(band), windows.columns, windows.channels)
        self.place, self.equal = (pixels.new_empty(shape) for _ in range(2))
        every = range(windows.columns)
        row, column = (
            torch.arange(w.start, w.stop, dtype=pixels.dtype, device=pixels.device) * stride - windows.padding
            for w in (band, every)
        )
        # What no other place in the window has is at its last.
        bottom, right = (row + k - 1).clamp_max(height - 1), (column + k - 1).clamp_max(width - 1)
        self.last = (bottom * width)[:, None, None] + right[:, None]
        self.taps = []
        for i, j in [(i, j) for i in reversed(range(k)) for j in reversed(range(k))][1:]:
            (rows, line), (columns, pixel) = windows.along(i, height, band), windows.along(j, width, every)
            where = ((row[rows] + i) * width)[:, None, None] + (column[columns] + j)[:, None]
            if where.numel():
                part = (slice(None), rows, columns)
                source = _Every(pixels, line * width + pixel, (stride, stride), (len(where), where.shape[1]))
                self.taps.append((source, part, where, self.equal[part], self.place[part]))

    def __call__(self, pixels: Tensor, value: Tensor, out: Tensor) -> None:
        """Write the places of value (images, rows, columns, c) to out, as numbers of pixels."""
        self.place.copy_(self.last)
        for source, part, where, equal, place in self.taps:
            wanted = value if equal.shape == value.shape else value[part]
            torch.eq(source(pixels), wanted, out=equal)
            place.lerp_(where, equal)  # exact, as the weights are 0 and 1
        out.copy_(self.place)


class _Every:
    """Pixels at some steps in each image of (n, h, w, c), count of them, from number `first` of the image on."""

    def __init__(self, like: Tensor, first: int, step: tuple[int, int], count: tuple[int, int]) -> None:
        n, h, w, c = like.shape
        self.size, self.first = (n, *count, c), first * c
        self.strides = (h * w * c, step[0] * w * c, step[1] * c, 1)

    def __call__(self, pixels: Tensor) -> Tensor:
        """(n, *count, c), a view; the pixels as contiguous as the ones that this was made for."""
        return pixels.as_strided(self.size, self.strides, pixels.storage_offset() + self.first)


def _insert(value: Tensor, largest: Tensor, second: Tensor, spare: Tensor) -> None:
    """Let the largest and the second largest, element by element, take another value into account."""
    torch.minimum(largest, value, out=spare)
    torch.maximum(second, spare, out=second)
    torch.maximum(largest, value, out=largest)


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
