"""The layer that a class activation map is made of, found by watching a pass through the network.

It is the last call whose output still has places of the image: maps (n, channels, *spatial), maps with the channels
last, or the tokens of a transformer, one a patch. The watch sees every call of torch, in modules, functions, exported
programs and ONNX graphs alike, so that no list of architectures is needed; see models/last_layer.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import UserError
from ..models.classifier import Classifier
from ..models.last_layer import INPUT_OF
from .score import Model, Score, score_of

MOST_EXTRA = 16  # tokens of a transformer that stand for no patch: class, distillation, registers
OF_TOKENS = ("layer_norm", "rms_norm", "add", "batch_norm")  # not the queries, keys and values of attention


class Layer(NamedTuple):
    """Where a class activation map comes from.

    Args:
        after: how many outputs with places come after it in a pass. Those before it may be more for more images, in a
            layer that goes through them part by part.
        name: of the module that gave the output, "" for a call outside of modules.
        call: the function of torch.
        shape: of the places: height and width, or depth, height and width.
        kind: "maps", "channels last" or "tokens".
        words: all that, for a report.
    """

    after: int
    name: str
    call: str
    shape: tuple[int, ...]
    kind: str
    words: str


class _Output(NamedTuple):
    layer: Layer
    value: Tensor


class _Outputs(TorchFunctionMode):
    """Notes of a pass what may be explained: outputs with places, after the first layer that has weights."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self._image = tuple(x.shape[2:])
        self._n, self._ndim = len(x), x.ndim
        self._weighted = False
        self._grid = self._image
        self.found: list[_Output] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "").partition(".")[0].strip("_")
        self._weighted = self._weighted or name in INPUT_OF
        if self._weighted and isinstance(out, Tensor) and out.is_floating_point() and out.shape[:1] == (self._n,):
            places = self._places(tuple(out.shape), name)
            if places is not None:
                self._grid, kind = places
                self.found.append(_Output(Layer(0, "", name, self._grid, kind, ""), out))
        return out

    def _places(self, shape: tuple[int, ...], name: str) -> tuple[tuple[int, ...], str] | None:
        if len(shape) == self._ndim:
            if self._fits(shape[2:]):
                return shape[2:], "maps"
            if min(shape[1:-1]) > 1 and self._fits(shape[1:-1], 1):
                return shape[1:-1], "channels last"
        elif len(shape) == 3 and name in OF_TOKENS:
            for grid in (self._grid, *_cubes(shape[1], self._ndim - 2)):
                patches = int(torch.Size(grid).numel())
                if 1 < patches <= shape[1] <= patches + MOST_EXTRA and self._fits(grid):
                    return grid, "tokens"
        return None

    def _fits(self, grid: tuple[int, ...], off: int = 2) -> bool:
        """A smaller copy of the image: no side is longer than before, and all shrank by about the same factor."""
        if max(grid) < 2 or any(now > before for now, before in zip(grid, self._grid, strict=True)):
            return False
        share = max(now / side for now, side in zip(grid, self._image, strict=True))
        return all(abs(now - share * side) <= off for now, side in zip(grid, self._image, strict=True))


def _cubes(tokens: int, num_sides: int) -> list[tuple[int, ...]]:
    """Grids of equal sides for so many tokens, where no layer of maps said what the grid is."""
    side = round(tokens ** (1 / num_sides))
    return [(s,) * num_sides for s in (side, side - 1) if s > 1]


def find_layer(model: Model, x: Tensor) -> Layer:
    """The last layer with places of the image on which the answer depends.

    Args:
        model: in evaluation mode.
        x: (n, c, *spatial) images.

    Errors: UserError where no layer has places, as in a linear network.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        >>> find_layer(net, torch.rand(2, 1, 8, 8)).words
        'relu (module 1), maps of 6 x 6'
    """
    with torch.enable_grad():
        logits, found, names = _watched(model, x[:2])
        total = score_of(logits, logits.argmax(1)).sum()
    for after, output in enumerate(reversed(found)):
        if not output.value.requires_grad:
            continue
        slope = torch.autograd.grad(total, output.value, retain_graph=True, allow_unused=True)[0]
        if slope is not None and bool(on_places(slope, output.layer).flatten(1).any(1).any()):
            name = next((name for out, name in reversed(names) if out is output.value), "")
            return output.layer._replace(after=after, name=name, words=_words(output.layer, name))
    raise UserError("model", "no layer has places of the image, so there is no class activation map", "use saliency")


def _watched(model: Model, x: Tensor) -> tuple[Tensor, list[_Output], list[tuple[Tensor, str]]]:
    """The logits, the outputs that may be explained, and what each module gave; the outermost of several is last."""
    names: list[tuple[Tensor, str]] = []

    def hook(name: str) -> Callable[..., None]:
        def note(module: nn.Module, given: Any, out: Any) -> None:
            if isinstance(out, Tensor):
                names.append((out, name))

        return note

    inner = model.network if isinstance(model, Classifier) else model
    modules = list(inner.named_modules()) if isinstance(inner, nn.Module) else []
    handles = [module.register_forward_hook(hook(name)) for name, module in modules if name]
    try:
        with _Outputs(x) as watch:
            logits = model(x.detach().requires_grad_())
    finally:
        for handle in handles:
            handle.remove()
    return logits, watch.found, names


def _words(layer: Layer, name: str) -> str:
    where = f" (module {name})" if name else ""
    what = "tokens of a grid" if layer.kind == "tokens" else "maps"
    return f"{layer.call}{where}, {what} of {' x '.join(map(str, layer.shape))}"


def on_places(value: Tensor, layer: Layer) -> Tensor:
    """An output of the layer as maps (n, channels, *places); tokens before the patches are left out."""
    if layer.kind == "channels last":
        return value.movedim(-1, 1)
    if layer.kind == "tokens":
        patches = int(torch.Size(layer.shape).numel())
        return value[:, -patches:].movedim(-1, 1).unflatten(2, layer.shape)
    return value


def activation(model: Model, x: Tensor, target: Tensor | None, layer: Layer, score: Score) -> tuple[Tensor, Tensor]:
    """What the layer gives for images x and the gradient of their scores by it, both (n, channels, *places).

    Errors: UserError where the network makes other calls for these images than for those that found the layer.
    """
    with torch.enable_grad():
        with _Outputs(x) as watch:
            logits = model(x.detach().requires_grad_())
        found = watch.found[-1 - layer.after] if layer.after < len(watch.found) else None
        if found is None or (found.layer.call, found.layer.shape) != (layer.call, layer.shape):
            raise UserError("model", "calls other layers for other images, so there is no class activation map")
        value = found.value
        total = score_of(logits, logits.argmax(1) if target is None else target, score).sum()
        slope = torch.autograd.grad(total, value)[0]
    return on_places(value, layer).detach(), on_places(slope, layer)
