"""The last linear layer of a network, whatever it is written as: what it is given, and other outputs in its place.

The network runs under a mode that sees every call of torch, in modules, functions, exported programs and ONNX graphs
alike, so that no list of known architectures is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .classifier import Classifier

INPUT_OF = {"linear": 0, "addmm": 1, "matmul": 0, "mm": 0, "conv1d": 0, "conv2d": 0, "conv3d": 0, "convolution": 0}
GIVES_LOGITS = ("linear", "addmm", "matmul", "mm")
BARE = ("matmul", "mm")


class Place(NamedTuple):
    """Where a head can be put.

    Args:
        number: of the call among those of INPUT_OF in a pass, from 0.
        num_features: values of an image that it is given.
        outputs: columns of what the network returns.
        in_place: the call gives the outputs, so that another head can stand in its place and all that comes after it
            stays; otherwise a head on these features stands for the rest of the network.
        words: what the layer is, for a report.
    """

    number: int
    num_features: int
    outputs: int
    in_place: bool
    words: str


class _Call(NamedTuple):
    name: str
    given: tuple[int, ...]
    gives: Tensor


class _Watch(TorchFunctionMode):
    """Notes the calls of a pass; at one of them, hands on what it is given, and may put something in its place."""

    def __init__(self, number: int = -1, change: Callable[[Tensor, Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.calls: list[_Call] = []
        self.features: Tensor | None = None
        self._number, self._change = number, change

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "").partition(".")[0].strip("_")
        at = INPUT_OF.get(name)
        if at is None or len(args) <= at or not isinstance(out, Tensor) or not isinstance(args[at], Tensor):
            return out
        given: Tensor = args[at]
        if len(self.calls) == self._number:
            self.features = given.flatten(1)
            out = out if self._change is None else self._change(self.features, out).to(out.dtype)
        self.calls.append(_Call(name, tuple(given.shape), out))
        return out


def find_last_layer(model: Classifier, x: Tensor, least: int) -> Place | None:
    """The last layer of a classifier that gives its outputs from at least so many features, or else an earlier one.

    None where no layer of a known kind is given that many values of each image.

    Args:
        model: in evaluation mode.
        x: (n, c, *spatial), two images or more.
        least: features.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 2))
        >>> find_last_layer(Classifier(net), torch.rand(2, 3, 4, 4), 24)
        Place(number=1, num_features=32, outputs=2, in_place=True, words='the last linear layer')
    """
    with torch.no_grad(), _Watch() as watch:
        answer = model.outputs(x).value
    n, outputs = len(x), answer.shape[1]
    usable = [
        (number, call)
        for number, call in enumerate(watch.calls)
        if len(call.given) > 1 and call.given[0] == n and _size(call.given) >= least
    ]
    for number, call in reversed(usable):
        if call.name in GIVES_LOGITS and call.gives.shape == (n, outputs) and len(call.given) == 2:
            # A bias that is added after a bare product would be added to other outputs too.
            if call.name in BARE and not torch.equal(call.gives, answer):
                return Place(number, call.given[1], outputs, False, "the last linear layer")
            return Place(number, call.given[1], outputs, True, "the last linear layer")
    for number, call in reversed(usable):
        kind = "linear layer" if call.name in GIVES_LOGITS else "convolution"
        return Place(number, _size(call.given), outputs, False, f"an earlier {kind}, of {_size(call.given)} values")
    return None


def _size(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape[1:]).numel())


def features(model: Classifier, x: Tensor, place: Place) -> Tensor:
    """(n, num_features) what the layer is given for x (n, c, *spatial). Errors: ValueError if it is not called."""
    watch = _Watch(place.number)
    with watch:
        model(x)
    if watch.features is None or watch.features.shape != (len(x), place.num_features):
        raise ValueError("the network calls other layers for other images")
    return watch.features


def with_outputs(
    model: Classifier, x: Tensor, place: Place, outputs: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """The classifier's logits of x, and the features (n, num_features), with other outputs of the layer.

    Args:
        outputs: features, outputs of the layer (n, k) -> what stands in their place. Called where place.in_place only.

    Errors: ValueError if the layer is not called.
    """
    watch = _Watch(place.number, outputs if place.in_place else None)
    with watch:
        logits = model(x)
    if watch.features is None or watch.features.shape != (len(x), place.num_features):
        raise ValueError("the network calls other layers for other images")
    return logits, watch.features
