"""What each operation of a network does to lower and upper bounds of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

if TYPE_CHECKING:
    from .bounds import Bounded

Pair = tuple[Tensor, Tensor]
# Of torch, without the underscore of those in place: no output falls when any bounded input rises.
RISING = frozenset(
    (
        *("relu", "hardtanh", "sigmoid", "tanh", "hardsigmoid", "softplus", "erf", "exp", "clamp_min", "clamp_max"),
        *("max_pool1d", "max_pool2d", "max_pool3d", "amax", "amin", "maximum", "minimum", "mean", "sum"),
        *("max_pool2d_with_indices", "max_pool3d_with_indices", "adaptive_max_pool2d", "adaptive_max_pool3d"),
        *("avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d"),
        *("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
        *("view", "_unsafe_view", "reshape", "_reshape_alias", "flatten", "permute", "transpose", "t", "alias"),
        *("expand", "squeeze", "unsqueeze", "slice", "select", "cat", "stack", "clone", "detach", "contiguous"),
        *("split", "split_with_sizes", "chunk", "unbind", "constant_pad_nd", "repeat", "lift_fresh"),
        *("reflection_pad1d", "reflection_pad2d", "reflection_pad3d"),
        *("replication_pad1d", "replication_pad2d", "replication_pad3d", "upsample_nearest2d", "upsample_nearest3d"),
    )
)


class Start(NamedTuple):
    """The allowed images themselves, as long as nothing but a normalization and a flattening came between.

    x (n, c, *spatial) is inside of radius (n,) in a norm around center, and between low and high, pixel by pixel; the
    network sees x * factor + shift, factor and shift (channels,), with grey images repeated to its channels.
    """

    center: Tensor
    radius: Tensor
    norm: str
    low: Tensor
    high: Tensor
    factor: Tensor
    shift: Tensor

    def normalized(self, x: Tensor) -> Tensor:
        """What the network sees of images x (n, c, *spatial)."""
        shape = (1, -1, *[1] * (x.ndim - 2))
        return x * self.factor.reshape(shape) + self.shift.reshape(shape)

    def weight(self, weight: Tensor) -> Tensor:
        """Weights (rows, channels, *spatial) of what the network sees as weights of x (rows, c, *spatial)."""
        scaled = weight * self.factor.reshape(1, -1, *[1] * (weight.ndim - 2))
        return scaled if self.center.shape[1] == weight.shape[1] else scaled.sum(1, keepdim=True)

    def rows(self, which: Tensor) -> Start:
        """Of some of the images."""
        some = {name: getattr(self, name)[which] for name in ("center", "radius", "low", "high")}
        return self._replace(**some)


class Layer(NamedTuple):
    """A linear layer whose outputs are the end of a network so far: inputs (n, i), weight (k, i) and bias (k,)."""

    inputs: Bounded
    weight: Tensor
    bias: Tensor


def middle(low: Tensor, high: Tensor) -> Pair:
    """The middle of intervals and half their width."""
    return (low + high) / 2, (high - low) / 2


def linear(inputs: Bounded, weight: Tensor, bias: Tensor) -> Pair:
    """Bounds (n, k) of inputs (n, i) @ weight.T + bias; exact on a ball when the inputs are the images themselves.

    On a ball of radius r the value differs from that at the center by at most r times the dual norm of a row of weight.
    """
    start = inputs.start
    if start is None:
        center, width = middle(inputs.low, inputs.high)
        value, spread = center @ weight.T + bias, width @ weight.abs().T
        return value - spread, value + spread
    own = start.weight(weight.reshape(len(weight), len(start.factor), *start.center.shape[2:])).flatten(1)
    center, width = middle(start.low, start.high)
    value, spread = start.normalized(center).flatten(1) @ weight.T + bias, width.flatten(1) @ own.abs().T
    if start.norm == "linf":
        return value - spread, value + spread
    dual = own.norm(dim=1) if start.norm == "l2" else own.abs().amax(1)
    return _both(
        value, spread, start.normalized(start.center).flatten(1) @ weight.T + bias, start.radius[:, None] * dual
    )


def _both(value: Tensor, spread: Tensor, other: Tensor, other_spread: Tensor) -> Pair:
    """What holds when a number is within spread of value and within other_spread of other."""
    return torch.maximum(value - spread, other - other_spread), torch.minimum(value + spread, other + other_spread)


def convolution(inputs: Any, weight: Any, bias: Any, *rest: Any) -> Pair | None:
    """Bounds of a convolution of any number of dimensions, transposed ones too; exact on a ball as `linear` is."""
    if hasattr(weight, "low") or hasattr(bias, "low"):
        return None

    def run(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        out: Tensor = torch.ops.aten.convolution.default(x, w, b, *rest)
        return out

    transposed, groups = rest[3], rest[5]
    start = inputs.start if groups == 1 and not transposed else None
    if start is None:
        center, width = middle(inputs.low, inputs.high)
        value, spread = run(center, weight, bias), run(width, weight.abs())
        return value - spread, value + spread
    own = start.weight(weight)
    center, width = middle(start.low, start.high)
    value, spread = run(start.normalized(center), weight, bias), run(width, own.abs())
    if start.norm == "linf":
        return value - spread, value + spread
    if start.norm == "l2":  # of the part of a kernel that lies in the image
        dual = run(torch.ones_like(start.center[:1]), own**2).sqrt()
    else:
        dual = own.abs().flatten(1).amax(1).reshape(1, -1, *[1] * (value.ndim - 2))
    radius = start.radius.reshape(-1, *[1] * (value.ndim - 1))
    return _both(value, spread, run(start.normalized(start.center), weight, bias), radius * dual)


def batch_norm(inputs: Bounded, weight: Any, bias: Any, mean: Tensor, var: Tensor, training: bool, eps: float) -> Any:
    """Bounds of batch normalization by running statistics; None when it takes those of the batch."""
    if training or mean is None or var is None:
        return None
    factor = (var + eps).rsqrt() * (1 if weight is None else weight)
    shift = (0 if bias is None else bias) - mean * factor
    shape = (1, -1, *[1] * (inputs.low.ndim - 2))
    return _scaled(inputs.low, inputs.high, factor.reshape(shape), shift.reshape(shape))


def _scaled(low: Tensor, high: Tensor, factor: Any, shift: Any = 0.0) -> Pair:
    a, b = low * factor + shift, high * factor + shift
    return torch.minimum(a, b), torch.maximum(a, b)


def _ends(value: Any) -> tuple[Any, Any]:
    low = getattr(value, "low", None)
    return (value, value) if low is None else (low, value.high)


def _add(a: Any, b: Any, alpha: Any = 1) -> Any:
    (low, high), (least, most) = _ends(a), _ends(b)
    return (low + alpha * least, high + alpha * most) if alpha >= 0 else (low + alpha * most, high + alpha * least)


def _mul(a: Any, b: Any) -> Pair:
    (low, high), (least, most) = _ends(a), _ends(b)
    corners = torch.stack([torch.as_tensor(x * y) for x in (low, high) for y in (least, most)])
    return corners.amin(0), corners.amax(0)


def _div(a: Any, b: Any) -> Any:
    return None if hasattr(b, "low") else _scaled(*_ends(a), 1 / b)


def _leaky_relu(a: Any, negative_slope: float = 0.01) -> Any:
    run = torch.nn.functional.leaky_relu
    return (run(a.low, negative_slope), run(a.high, negative_slope)) if negative_slope >= 0 else None


def _elu(a: Any, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Any:
    ends = [torch.ops.aten.elu.default(end, alpha, scale, input_scale) for end in (a.low, a.high)]
    return tuple(ends) if min(alpha, scale, input_scale) >= 0 else None


def _clamp(a: Any, low: Any = None, high: Any = None) -> Any:
    return None if hasattr(low, "low") or hasattr(high, "low") else (a.low.clamp(low, high), a.high.clamp(low, high))


# Name of an operation -> (low, high) of its only output; None where these arguments are not bounded.
RULES: dict[str, Callable[..., Any]] = {
    "convolution": convolution,
    "native_batch_norm": lambda x, w, b, m, v, training, _, eps: batch_norm(x, w, b, m, v, training, eps),
    "cudnn_batch_norm": lambda x, w, b, m, v, training, _, eps: batch_norm(x, w, b, m, v, training, eps),
    "miopen_batch_norm": lambda x, w, b, m, v, training, _, eps: batch_norm(x, w, b, m, v, training, eps),
    "_native_batch_norm_legit_no_training": lambda x, w, b, m, v, _, eps: batch_norm(x, w, b, m, v, False, eps),
    "add": _add,
    "sub": lambda a, b, alpha=1: _add(a, b, -alpha),
    "rsub": lambda a, b, alpha=1: _add(b, a, -alpha),
    "neg": lambda a: (-a.high, -a.low),
    "mul": _mul,
    "div": _div,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "clamp": _clamp,
    "_to_copy": lambda x, dtype=None, **_: (x.low, x.high) if dtype is None or dtype.is_floating_point else None,
}


def rising(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """A function at all lower and at all upper bounds of its arguments."""
    low = [tree_map(lambda v: getattr(v, "low", v), part) for part in (args, kwargs)]
    high = [tree_map(lambda v: getattr(v, "high", v), part) for part in (args, kwargs)]
    return function(*low[0], **low[1]), function(*high[0], **high[1])
