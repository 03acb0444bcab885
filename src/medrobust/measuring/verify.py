"""Never trust an attack: the ball, the domain and the success are re-checked in float32, with the classifier itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from ..engine.tree import take
from ..goals import Goal, as_classes
from ..memory_order import channels_last
from ..norms import per_sample
from ..threat import Ball


class Verdict(NamedTuple):
    """What holds of a batch of candidates.

    Args:
        x: (n, ...) the candidates, moved inside the exact ball.
        logits: (n, k) of x, float32.
        reached: (n,) bool, whether x reaches the goal.
        distance: (n,) float64, the norm of the change.
        survives: (n,) bool, whether the goal is still reached after rounding to the bit depth of the source.
    """

    x: Tensor
    logits: Tensor
    reached: Tensor
    distance: Tensor
    survives: Tensor


@contextmanager
def exact_float32() -> Iterator[None]:
    """No TF32: it resolves 2^-11, which is 0.12/255 for pixels in [0.5, 1), and would round small attacks away."""
    matmul, conv = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, conv


def stored(x: Tensor, bit_depth: Tensor, domain: tuple[float, float]) -> Tensor:
    """x as a file of this bit depth (n,) holds it: rounded to the nearest of its 2^bits values.

    Example:
        >>> stored(torch.tensor([[0.501]]), torch.tensor([1]), (0.0, 1.0))
        tensor([[1.]])
    """
    low, high = domain
    levels = per_sample(2.0 ** bit_depth.double() - 1, x)
    return ((((x.double() - low) / (high - low)) * levels).round() / levels * (high - low) + low).to(x.dtype)


def _answers(model: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Logits in the memory order that is fastest; the order of the numbers in memory is not part of the question."""
    return as_classes(model(channels_last(x)))


def verify(model: Callable[[Tensor], Tensor], x_adv: Tensor, ball: Ball, goal: Goal, bit_depth: Tensor) -> Verdict:
    """Two float32 forwards: of the candidate moved inside the exact ball, and of its stored form.

    A candidate whose stored form is that of the image itself does not survive, and is not asked about. One whose logits
    are not finite has no answer: the image itself stands in its place.
    """
    x = ball.round_inside(x_adv)
    with torch.no_grad(), exact_float32():
        logits = _answers(model, x)
        silent = (~torch.isfinite(logits).all(1)).nonzero()[:, 0]
        if len(silent):
            x = x.index_copy(0, silent, ball.center[silent])
            logits = logits.index_copy(0, silent, _answers(model, ball.center[silent]))
        reached = goal.reached(logits) & torch.isfinite(logits).all(1)
        kept = stored(x, bit_depth, ball.domain)
        differs = (kept != stored(ball.center, bit_depth, ball.domain)).flatten(1).any(1)
        ask = (reached & differs).nonzero()[:, 0]
        survives = torch.zeros_like(reached)
        if len(ask):
            again = _answers(model, kept[ask])
            survives[ask] = take(goal, ask).reached(again) & torch.isfinite(again).all(1)
    return Verdict(x, logits, reached, ball.distance(x), survives)
