"""Bounds of what a classifier can answer on a whole ball of images, by interval arithmetic in float64.

Gowal et al. 2018, arXiv:1810.12715. A bound that holds proves that no attack succeeds; one that does not says nothing
(ISO/IEC 24029-2 calls such a method sound and incomplete). The rounding of the network in float32 is not bounded.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map

from .bound_rules import RISING, RULES, Layer, Start, linear, rising
from .classifier import Classifier
from .drop_max import DropMax
from .outputs import answer

NORMS = ("linf", "l2", "l1")
FLATTENING = ("view", "_unsafe_view", "reshape", "clone", "alias", "detach")  # may leave values where they are


class NoCertificateError(Exception):
    """Says in words why a network, or a norm, has no bounds."""


class _Walk:
    """Where in the network a forward pass is, and how many values were overwritten so far."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.overwritten = 0

    @property
    def place(self) -> str:
        """The innermost layer."""
        return self.names[-1] if self.names else "the network itself"


class Bounded(torch.Tensor):
    """Values of which only bounds are known: a tensor to the network, low and high (n, ...) to the rules.

    Args:
        low, high: float64.
        walk: of this forward pass.
        start: the images themselves, see Start.
        layer: the linear layer that gave it.
        before: what a last softmax or sigmoid was applied to.
    """

    low: Tensor
    high: Tensor
    walk: _Walk
    known: dict[str, Any]
    made_at: int

    @staticmethod
    def __new__(cls, low: Tensor, high: Tensor, walk: _Walk, **known: Any) -> Bounded:
        made: Bounded = torch.Tensor._make_wrapper_subclass(
            cls, low.shape, strides=low.stride(), dtype=low.dtype, device=low.device
        )
        made.low, made.high, made.walk = low, high, walk
        made.known, made.made_at = known, walk.overwritten
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Everything is set when it is made."""

    def _of(self, name: str) -> Any:
        """What else is known, unless something was overwritten since: it may have been this."""
        return self.known.get(name) if self.walk.overwritten == self.made_at else None

    @property
    def start(self) -> Start | None:
        """The images themselves, see Start."""
        found: Start | None = self._of("start")
        return found

    @property
    def layer(self) -> Layer | None:
        """The linear layer that gave it."""
        found: Layer | None = self._of("layer")
        return found

    @property
    def before(self) -> Bounded | None:
        """What a last softmax or sigmoid was applied to."""
        found: Bounded | None = self._of("before")
        return found

    def rows(self, which: Tensor) -> Bounded:
        """Of some of the images."""
        start = self.start
        return Bounded(self.low[which], self.high[which], self.walk, start=None if start is None else start.rows(which))

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        in_place = func._schema.is_mutable
        plain = name.removesuffix("_") if in_place else name
        walk = next(v.walk for v in tree_flatten((args, kwargs))[0] if isinstance(v, Bounded))
        if plain in ("addmm", "mm"):
            return _matrix(plain, args, walk, kwargs)
        made = None if in_place and plain == name else _apply(plain, func, args, kwargs, walk)
        if made is None:
            raise NoCertificateError(f"{name} at {walk.place} is not bounded")
        if not in_place:
            return made
        target = args[0]
        if not isinstance(target, Bounded):
            raise NoCertificateError(f"{name} at {walk.place} writes into a constant")
        target.low.copy_(made.low)
        target.high.copy_(made.high)
        walk.overwritten += 1
        return target


def _apply(plain: str, func: Any, args: Any, kwargs: Any, walk: _Walk) -> Any:
    """The bounded outputs of an operation; None where it is not bounded."""
    if plain in RULES:
        pair = RULES[plain](*args, **kwargs)
        made = None if pair is None else Bounded(*pair, walk)
        # Batch normalization returns statistics too, which nothing reads in evaluation mode.
        return (made, None, None, None)[: len(func._schema.returns)] if made is not None and "norm" in plain else made
    first = args[0]
    if plain in ("_softmax", "_log_softmax"):
        unknown = torch.full_like(first.low, torch.nan)  # only what is before it may be used
        return Bounded(unknown, unknown, walk, before=first) if first.ndim == 2 and args[1] in (1, -1) else None
    if plain not in RISING:
        return None
    run = getattr(getattr(torch.ops.aten, plain), func._overloadname)
    low, high = rising(run, args, kwargs)
    known: dict[str, Any] = {}
    if plain == "sigmoid" and first.ndim == 2:
        known = {"before": first}
    elif plain in FLATTENING and low.shape in (first.shape, (len(first), first[:1].numel())):
        known = {"start": first.start}
    return tree_map(lambda a, b: _wrapped(a, b, walk, known), low, high)


def _wrapped(low: Any, high: Any, walk: _Walk, known: dict[str, Any]) -> Any:
    if not isinstance(low, Tensor):
        return low
    if not low.is_floating_point():  # the places of a pooling: not known
        low = high = torch.full(low.shape, torch.nan, dtype=torch.float64, device=low.device)
    return Bounded(low, high, walk, **known)


def _matrix(plain: str, args: Any, walk: _Walk, kwargs: Any) -> Bounded:
    """A linear layer: inputs (n, i) times a constant (i, k), plus a constant."""
    bias, inputs, weight = args if plain == "addmm" else (None, *args)
    if isinstance(weight, Bounded) or isinstance(bias, Bounded) or not isinstance(inputs, Bounded) or kwargs:
        raise NoCertificateError(f"{plain} at {walk.place} is not bounded")
    rows = weight.t()
    bias = torch.zeros(len(rows), dtype=rows.dtype, device=rows.device) if bias is None else bias.expand(len(rows))
    return Bounded(*linear(inputs, rows, bias), walk, layer=Layer(inputs, rows, bias))


class _Rising(nn.Module):
    """A layer that no tensor but a plain one can go through, and whose outputs never fall when inputs rise."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Any:
        """Its outputs for x (n, c, *spatial)."""
        if not isinstance(x, Bounded):
            return self.layer(x)
        return Bounded(*(self.layer(end).contiguous() for end in (x.low, x.high)), x.walk)


class Bounds:
    """The bounds of one classifier, from a copy of it in float64.

    Args:
        model: its network in evaluation mode.

    Errors: NoCertificateError, in words, for a network or norm that has no bounds.

    Example:
        >>> model = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), channels=1)
        >>> _ = nn.init.zeros_(model.network[1].weight), nn.init.zeros_(model.network[1].bias)
        >>> with torch.no_grad():
        ...     model.network[1].weight[1], model.network[1].bias[1] = 1.0, -1.0
        >>> x = torch.full((1, 1, 2, 2), 0.5)  # z1 - z0 = 2 - 1, and falls by 4 epsilon
        >>> round(Bounds(model).margins(x, torch.tensor([1]), 0.2, "linf").item(), 6)
        0.2
    """

    def __init__(self, model: Classifier, device: torch.device | str = "cpu") -> None:
        if model.head == "multi_label":
            raise NoCertificateError("a head with several labels has no one answer to certify")
        self.model, self.device = model, torch.device(device)
        try:
            network = copy.deepcopy(model.network).eval().requires_grad_(False)
            # Pooling of channels-last tensors goes through strides, which have no bounds.
            network = network.to(device, torch.float64).to(memory_format=torch.contiguous_format)
        except Exception as error:  # a network of somebody else may refuse to be copied or converted
            raise NoCertificateError(f"the network has no copy in float64 ({type(error).__name__})") from error
        for parent in list(network.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, DropMax):
                    setattr(parent, name, _Rising(child))
        self.network = _Rising(network) if isinstance(network, DropMax) else network
        self._walk = _Walk()
        for name, module in self.network.named_modules():
            words = f"{name or 'the network itself'} ({type(module).__name__})"
            module.register_forward_pre_hook(lambda *_, words=words: self._walk.names.append(words))
            module.register_forward_hook(lambda *_: self._walk.names.pop() and None)

    @property
    def in_logits(self) -> bool:
        """Whether the margins are those of the classifier's own logits, and not of probabilities."""
        return self.model.head not in ("probabilities", "auto")

    def margins(self, x: Tensor, labels: Tensor, radius: Tensor | float, norm: str) -> Tensor:
        """(n,) lower bounds of z_label - (largest other z) on the ball of each image, inside the domain.

        Args:
            x: (n, c, *spatial) images in the domain.
            labels: (n,) positions in the classes of the model.
            radius: one, or (n,).
            norm: linf, l2 or l1.

        Errors: NoCertificateError.
        """
        x = x.to(self.device, torch.float64).contiguous()
        with torch.no_grad():
            out = self._outputs(self._images(x, radius, norm))
            found = _margins(out, labels.to(self.device), self.model)
        return found.cpu()

    def _images(self, x: Tensor, radius: Tensor | float, norm: str) -> Bounded:
        """The images of the balls as the network sees them."""
        if norm not in NORMS:
            raise NoCertificateError(f"{norm} has no bounds")
        size = torch.as_tensor(radius, dtype=torch.float64, device=x.device).expand(len(x))
        reach = size.reshape(-1, *[1] * (x.ndim - 1))
        low, high = ((x + sign * reach).clamp(*self.model.domain) for sign in (-1, 1))
        model = self.model
        factor = 1 / model.std.double().to(x.device)
        shift = -model.mean.double().to(x.device) * factor
        start = Start(x, size, norm, torch.minimum(low, x), torch.maximum(high, x), factor, shift)
        channels = (len(x), model.channels, *x.shape[2:])
        seen = (start.normalized(end.expand(channels)) for end in (start.low, start.high))
        self._walk.overwritten = 0
        return Bounded(*seen, self._walk, start=start)

    def _outputs(self, images: Bounded) -> Bounded:
        self._walk.names.clear()
        try:
            out = answer(self.network(images), len(images.low), len(self.model.classes))
        except NoCertificateError:
            raise
        except Exception as error:  # a network of somebody else may do anything to its tensors
            what = f"{type(error).__name__} at {self._walk.place}"
            raise NoCertificateError(f"the network does not take bounds for images ({what})") from error
        if not isinstance(out, Bounded):
            raise NoCertificateError("the network takes its images out of sight: nothing is known of its answer")
        return out


def _margins(out: Bounded, labels: Tensor, model: Classifier) -> Tensor:
    """(n,) lower bounds of the margins of what the network returned, (n, k) or (n, 1)."""
    before = out.before if out.shape[1] > 1 or model.head in ("probabilities", "auto") else None
    probabilities = model.head == "probabilities" and before is None
    out = out if before is None else before
    layer, order = out.layer, None if model._order is None else list(model._order)
    if out.low.shape[1] == 1:  # the logit of class 1, or its probability, of which half is the boundary
        level = 0.5 if probabilities else 0.0
        signs = torch.tensor([-1.0, 1.0], device=labels.device, dtype=torch.float64)
        sign = (signs if order is None else signs[order])[labels]
        low, high = out.low[:, 0] - level, out.high[:, 0] - level
        return torch.where(sign > 0, low, -high)
    columns = torch.arange(out.low.shape[1], device=labels.device)
    own = columns[labels] if order is None else torch.tensor(order, device=labels.device)[labels]
    found = torch.empty(len(own), dtype=torch.float64, device=own.device)
    for label in own.unique().tolist():
        which, others = (own == label).nonzero()[:, 0], columns[columns != label]
        if layer is None:
            low = out.low[which, label][:, None] - out.high[which][:, others]
        else:
            # The difference of two rows, not of two intervals: what both have in common cancels.
            rows, bias = (part[label] - part[others] for part in (layer.weight, layer.bias))
            low = linear(layer.inputs.rows(which), rows, bias)[0]
        found[which] = low.amin(1)
    return found
