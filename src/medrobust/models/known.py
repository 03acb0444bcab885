"""What is known of a tensor of probabilities while a network computes, and of the call that changes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

Lazy = Callable[[], Tensor]
SMALL = 1e-3  # what is added to a probability, or clamped from it, up to here is there against log(0)


class ChangedError(Exception):
    """The input of a sigmoid was overwritten after it was noted."""


class Known(NamedTuple):
    """What is known of a tensor v of probabilities, or of their logarithms; everything is computed when asked for.

    Args:
        log: log v.
        other: log(mass - v), where it is known.
        mass: what v and its complement sum to.
        logits: the input of the sigmoid or softmax that gave v, of the same shape.
        rowwise: logits are those of a softmax: they say nothing of a single column.
        is_log: the tensor holds log v and not v.
        rounded: it holds the logarithm of what was rounded as a probability before.
        above: log(v - 1), of an 1 + exp(-z).
    """

    log: Lazy
    other: Lazy | None = None
    mass: float = 1.0
    logits: Lazy | None = None
    rowwise: bool = False
    is_log: bool = False
    rounded: bool = False
    above: Lazy | None = None

    def through(self, do: Callable[[Any], Any], *, keeps_rows: bool) -> Known:
        """The same of do(v), where do moves values and does not change them."""
        logits = self.logits if keeps_rows or not self.rowwise else None
        log = self.log
        return self._replace(
            log=lambda: do(log()), other=then(self.other, do), logits=then(logits, do), above=then(self.above, do)
        )

    def scaled(self, factor: float) -> Known:
        """The same of factor * v, factor > 0."""
        log, shift = self.log, math.log(factor)
        other = then(self.other, lambda t: t + shift)
        return self._replace(log=lambda: log() + shift, other=other, mass=factor * self.mass, above=None)

    def odds(self) -> Tensor | None:
        """log(v / (mass - v)): the logit of each value by itself."""
        if self.logits is not None and not self.rowwise:
            return self.logits()
        return None if self.other is None else self.log() - self.other()

    def scores(self) -> Tensor:
        """Logits of the row: those before the softmax, or any others of the same order."""
        return self.log() if self.logits is None else self.logits()

    def explains(self, out: Tensor) -> bool:
        """Whether this is what the network returned."""
        try:
            log = self.log()
        except ChangedError:
            return False
        value, out = log.exp(), out.exp() if self.is_log else out
        if value.shape != out.shape:
            return False
        close = (value - out).abs() <= 1e-2 * out.abs() + 2 * SMALL * self.mass
        return bool((close | (value == out) | out.isnan()).all())


class Call(NamedTuple):
    """One call: func(*args, **kwargs), and what is known of each tensor before it."""

    func: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    in_place: bool
    of: Callable[[Any], Known | None]

    def argument(self, position: int, *names: str) -> Any:
        """The argument at a position or of one of these names, else None."""
        if len(self.args) > position:
            return self.args[position]
        return next((self.kwargs[name] for name in names if name in self.kwargs), None)

    def two(self) -> tuple[Known | None, Known | None, float | None]:
        """A probability and another, or a probability and a number."""
        first, second = self.args[0], self.argument(1, "other")
        if number_of(first) is not None:
            first, second = second, first
        known, other = self.of(first), self.of(second)
        if known is None or known.is_log or (other is not None and other.is_log):
            return None, None, None
        return known, other, number_of(second)


def then(lazy: Lazy | None, do: Callable[[Any], Any]) -> Lazy | None:
    return None if lazy is None else lambda: do(lazy())


def number_of(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def input_of(call: Call) -> Lazy:
    """The input as it is now, in float32 at least, for later."""
    kept = call.args[0].clone() if call.in_place else call.args[0]
    version = None if kept.is_inference() else kept._version

    def now() -> Tensor:
        if version is not None and kept._version != version:
            raise ChangedError
        return kept.float() if kept.dtype in (torch.float16, torch.bfloat16) else kept

    return now
