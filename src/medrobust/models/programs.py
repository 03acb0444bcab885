"""Networks that are files of their own: an exported program (.pt2) and an ONNX graph."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from ..errors import UserError
from .outputs import answer
from .weights import first_line, refuse_pointer

Layout = Literal["auto", "nchw", "nhwc"]
LAYOUTS: tuple[str, ...] = get_args(Layout)
CHANNELS = (1, 2, 3, 4)  # numbers that a dimension of channels has, and one of pixels has not


class Takes(NamedTuple):
    """What a program was made for; None where it takes any number.

    Args:
        channels: of the images.
        sides: (h, w) or (d, h, w) in pixels.
    """

    channels: int | None = None
    sides: tuple[int | None, ...] = ()

    def refuse_others(self, place: str, sides: Sequence[int]) -> None:
        """Errors: UserError for images (h, w) or (d, h, w) of another size."""
        if self.sides and sides and any(a not in (None, b) for a, b in zip(self.sides, sides, strict=False)):
            want = " x ".join("any" if a is None else str(a) for a in self.sides)
            have = " x ".join(map(str, sides))
            side = self.sides[-1]
            fix = f"set data.image_size={side}" if {*self.sides} == {side} else "export it for the size of the images"
            raise UserError(place, f"was made for images of {want} pixels, not {have}", fix)


class Exported(nn.Module):
    """An exported program: its mode was fixed at export, so train() and eval() change nothing inside."""

    def __init__(self, program: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.program, self.dtype = program, dtype

    def train(self, mode: bool = True) -> Exported:
        self.training = mode  # the program itself refuses to be switched
        return self

    def forward(self, x: Tensor) -> Any:
        return self.program(x.to(self.dtype))


class Batches(nn.Module):
    """A network that takes from `least` to `most` images at once, given any number: in parts, the last one filled up.

    Example:
        >>> class Single(nn.Module):
        ...     def forward(self, x):
        ...         return x.reshape(1, 2)
        >>> Batches(Single(), 1, 1)(torch.rand(3, 1, 1, 2)).shape
        torch.Size([3, 2])
    """

    def __init__(self, network: nn.Module, least: int, most: int | None) -> None:
        super().__init__()
        self.network, self.least, self.most = network, least, most

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._part(part) for part in x.split(self.most or max(len(x), 1))])

    def _part(self, x: Tensor) -> Tensor:
        missing = self.least - len(x)
        filled = torch.cat([x, x.new_zeros(missing, *x.shape[1:])]) if missing > 0 else x
        out = answer(self.network(filled), len(filled))
        return out.narrow(0, 0, len(x)) if len(filled) > len(x) else out


class ChannelsAtTheEnd(nn.Module):
    """A network of images (n, *spatial, c), given (n, c, *spatial)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Any:
        return self.network(x.movedim(1, -1).contiguous())


def from_exported(path: Path, layout: str = "auto") -> tuple[nn.Module, Takes]:
    """The program in a .pt2 file (torch.export.save). Pickled parts are refused: only tensors are read.

    Errors: UserError when it is no such file, takes another thing than one batch of images, or layout is not clear.
    """
    refuse_pointer(path)
    before = os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD")
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"  # torch.export.load unpickles otherwise
    try:
        exported = torch.export.load(path)
        program = exported.module()
    except Exception as error:
        reason = f"is not an exported program: {first_line(error)}"
        raise UserError(str(path), reason, "write it with torch.export.save") from error
    finally:
        if before is None:
            del os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"]
        else:
            os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = before
    names = exported.graph_signature.user_inputs
    images = [node.meta["val"] for node in exported.graph.nodes if node.op == "placeholder" and node.name in names]
    if len(images) != 1 or not isinstance(images[0], Tensor):
        raise UserError(str(path), f"takes {len(images)} inputs", "export a network that takes images alone")
    if not images[0].is_floating_point():
        raise UserError(str(path), f"takes whole numbers ({images[0].dtype})", "export one that takes float32 images")
    size = images[0].shape
    shape = [side if isinstance(side, int) else None for side in size]
    least, most = shape[0] or 1, shape[0]
    if shape[0] is None:
        limits = exported.range_constraints.get(size[0].node.expr)
        if limits is not None:
            least = int(limits.lower)
            most = int(limits.upper) if limits.upper < 2**31 else None
    return _placed(Exported(program, images[0].dtype), str(path), shape, layout, least, most)


def from_onnx(path: Path, layout: str = "auto") -> tuple[nn.Module, Takes]:
    """An ONNX graph as a differentiable module.

    Errors: UserError without onnx2torch, for graphs that it cannot read, and as from_exported.
    """
    refuse_pointer(path)
    try:
        import onnx
        import onnx2torch
    except ImportError as error:
        raise UserError(str(path), "reading ONNX needs onnx2torch", "pip install 'medrobust[onnx]'") from error
    try:
        graph = onnx.load(str(path), load_external_data=False).graph
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of how it copies arrays
            network: nn.Module = onnx2torch.convert(str(path))
    except Exception as error:
        raise UserError(str(path), f"cannot be read as ONNX: {type(error).__name__}: {first_line(error)}") from error
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs)
        raise UserError(str(path), f"takes {len(inputs)} inputs ({names})", "export a network that takes images alone")
    sides = inputs[0].type.tensor_type.shape.dim
    shape = [
        side.dim_value if side.WhichOneof("value") == "dim_value" and side.dim_value > 0 else None for side in sides
    ]
    hint = _first_says(graph, inputs[0].name, len(shape))
    return _placed(network, str(path), shape, layout, shape[0] or 1, shape[0], hint)


def _first_says(graph: Any, name: str, ndim: int) -> str:
    """nchw where the input of an ONNX graph goes into a convolution, nhwc where it is transposed first; else empty."""
    for _ in range(len(graph.node)):
        users = [node for node in graph.node if name in node.input]
        if len(users) != 1:
            return ""
        if users[0].op_type == "Conv":
            return "nchw"
        if users[0].op_type == "Transpose":
            order = next((list(a.ints) for a in users[0].attribute if a.name == "perm"), None)
            return "nhwc" if order == [0, ndim - 1, *range(1, ndim - 1)] else ""
        if users[0].op_type not in ("Sub", "Add", "Mul", "Div", "Cast", "Identity"):
            return ""
        name = users[0].output[0]
    return ""


def _placed(
    network: nn.Module,
    place: str,
    shape: Sequence[int | None],
    layout: str,
    least: int,
    most: int | None,
    hint: str = "",
) -> tuple[nn.Module, Takes]:
    """The network for any batch of images (n, c, *spatial), and what it takes."""
    if len(shape) < 4:
        takes = Takes(shape[1] if len(shape) == 3 else None)
    else:
        layout = find_layout(shape, place, hint) if layout == "auto" else layout
        channels, sides = (shape[1], shape[2:]) if layout == "nchw" else (shape[-1], shape[1:-1])
        takes = Takes(channels, tuple(sides))
        network = ChannelsAtTheEnd(network) if layout == "nhwc" else network
    return (network if least == 1 and most is None else Batches(network, least, most)), takes


def find_layout(shape: Sequence[int | None], place: str, hint: str = "") -> str:
    """nchw or nhwc, from the sizes (n, ...) that the program has fixed: the one that is a number of channels.

    Args:
        hint: what the first operation says, for when the sizes say nothing.

    Errors: UserError when neither tells.

    Example:
        >>> find_layout([1, 224, 224, 3], "net.onnx"), find_layout([None, 1, None, None], "net.onnx")
        ('nhwc', 'nchw')
    """
    first, last = shape[1] in CHANNELS, shape[-1] in CHANNELS
    if first != last:
        return "nchw" if first else "nhwc"
    if hint:
        return hint
    text = ", ".join("any" if side is None else str(side) for side in shape)
    reason = f"it cannot be told whether its input ({text}) is (n, c, h, w) or (n, h, w, c)"
    raise UserError(place, reason, "set model.layout=nchw or model.layout=nhwc")
