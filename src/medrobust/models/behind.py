"""The logits behind probabilities: what the last sigmoid or softmax of a network was given, seen while it computes.

Probabilities round to 0 and 1 long before logits do: a float32 sigmoid is 1 from 17 on, and its gradient 0. An attack
on the probabilities fails there, and the network looks robust. So the network runs under a mode that sees every call of
torch, in modules, functions, exported programs and ONNX graphs alike. It notes of each probability how to compute its
logarithm and that of its complement, and follows both through what comes after: views, indexing, 1 - p, means of
several networks, clamps, logarithms (see `probability_rules`). What it cannot follow is inverted instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .known import Call, ChangedError, Known
from .probability_rules import RULES

MOST = 1 << 15  # values an image: larger tensors are no answers, and would be kept alive for nothing


class Watch(TorchFunctionMode):
    """Notes probabilities while a network computes; `of(out)` says what is known of its answer.

    Example:
        >>> z = torch.tensor([[50.0, 0.0]])
        >>> with Watch() as watch:
        ...     p = z.softmax(1)[:, 0]
        >>> p.item(), watch.of(p).odds().item()
        (1.0, 50.0)
    """

    def __init__(self) -> None:
        super().__init__()
        self._notes: dict[int, tuple[Tensor, Known]] = {}

    def of(self, value: Any) -> Known | None:
        """What is known of a tensor."""
        noted = self._notes.get(id(value))
        return None if noted is None else noted[1]

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name, in_place = _name(func)
        given = args or [kwargs[key] for key in ("input", "tensors") if key in kwargs]
        rule = RULES.get(name) if given and not kwargs.keys() & {"out", "alpha", "rounding_mode"} else None
        found = rule(Call(func, given, kwargs, in_place, self.of)) if rule else None
        if in_place and args:
            self._notes.pop(id(args[0]), None)
        out = func(*args, **kwargs)
        if found is not None:
            self._note(out, found)
        return out

    def _note(self, out: Any, known: Known) -> None:
        if isinstance(out, (tuple, list)):
            for i, part in enumerate(out):
                self._note(part, known.through(itemgetter(i), keeps_rows=False))
        elif isinstance(out, Tensor) and out.numel() <= MOST * (len(out) if out.ndim else 1):
            self._notes[id(out)] = (out, known)  # the tensor too: an id is unique as long as its object lives


def behind(out: Tensor, known: Known | None, *, multi_label: bool = False) -> Tensor | None:
    """The logits (n, k) of the probabilities out (n, k) of a network; (n, 1): of class 1. None when they are not known.

    NaN stays NaN.

    Args:
        multi_label: each output is a probability of its own.
    """
    if known is None:
        return None
    try:
        if multi_label or out.shape[1] == 1:
            # A probability, or one in percent; of another scale nobody knows where it is undecided.
            found = known.odds() if any(math.isclose(known.mass, whole) for whole in (1, 100)) else None
        else:
            found = known.scores()
    except ChangedError:
        return None
    if found is None or found.shape != out.shape:
        return None
    return torch.where(out.isnan(), torch.nan, found.to(out.device))


def detached(out: Tensor, known: Known | None) -> bool:
    """Whether the logits behind probabilities are known, but without a gradient."""
    found = behind(out, known)
    return found is not None and not found.requires_grad


def inverse(out: Tensor, *, multi_label: bool = False) -> Tensor:
    """Logits of probabilities (n, k) whose last layer could not be seen; (n, 1): of class 1.

    In float64, and where a probability has rounded to 0 or 1 clamped in a way that keeps the order of all values.

    Example:
        >>> inverse(torch.tensor([[0.5], [1.0]]))[:, 0].tolist()
        [0.0, 17.32867948419631]
    """
    info, p = torch.finfo(out.dtype), out.double()
    least = max(info.smallest_normal * info.eps / 2, torch.finfo(torch.float64).smallest_normal)
    if out.shape[1] > 1 and not multi_label:
        return p.clamp_min(least).log()
    p = p.clamp(least, 1 - info.eps / 4)
    return p.log() - torch.log1p(-p)


def _name(func: Any) -> tuple[str, bool]:
    """`softmax` of torch.softmax, Tensor.softmax_, aten._softmax.default ..., and whether it writes into its input."""
    name = getattr(func, "__name__", "").partition(".")[0]
    if name.startswith("__") and name.endswith("__"):
        name = name.strip("_")
        in_place = name in ("setitem", "iadd", "isub", "imul", "itruediv", "idiv")
        return name.removeprefix("i") if in_place else name, in_place
    return name.strip("_").removeprefix("special_"), name.endswith("_")
