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
        survives: (n,) bool, whether the goal is still reached after rounding to what the file can hold.
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


def stored(x: Tensor, units: Tensor, domain: tuple[float, float]) -> Tensor:
    """x as its files hold it: rounded to the nearest stored value, of the width that is shown.

    Args:
        x: (n, ...).
        units: (n, 2) float64, of each image one stored unit on [0, 1], 0 where nothing is rounded, and a stored value;
            see ImageSet.resolution and ImageSet.origin.
        domain: lowest and highest value of a pixel.

    Example:
        >>> stored(torch.tensor([[0.501]]), torch.tensor([[1 / 4, 0.0]]), (0.0, 1.0))
        tensor([[0.5000]])
    """
    low, high = domain
    unit, origin = (per_sample(column, x) for column in units.double().unbind(1))
    levels = 1 / unit
    levels = torch.where((levels - levels.round()).abs() < 1e-9 * levels, levels.round(), levels)
    share = (x.double() - low) / (high - low)
    found = (((share - origin) * levels).round() / levels + origin).clamp(0, 1) * (high - low) + low
    return torch.where(unit > 0, found.to(x.dtype), x)


def _answers(model: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Logits in the memory order that is fastest; the order of the numbers in memory is not part of the question."""
    return as_classes(model(channels_last(x)))


def survives(model: Callable[[Tensor], Tensor], x_adv: Tensor, ball: Ball, goal: Goal, units: Tensor) -> Tensor:
    """(n,) what `verify` says of survival, with a forward only of candidates that a file tells from the image.

    Args:
        model, x_adv, ball, goal, units: see verify.
    """
    x = ball.round_inside(x_adv)
    kept = stored(x, units, ball.domain)
    left = (kept != stored(ball.center, units, ball.domain)).flatten(1).any(1).nonzero()[:, 0]
    with torch.no_grad(), exact_float32():
        for candidates in (kept, x):
            if len(left):
                logits = _answers(model, candidates[left])
                left = left[take(goal, left).reached(logits) & torch.isfinite(logits).all(1)]
    out = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    out[left] = True
    return out


def verify(model: Callable[[Tensor], Tensor], x_adv: Tensor, ball: Ball, goal: Goal, units: Tensor) -> Verdict:
    """Two float32 forwards: of the candidate moved inside the exact ball, and of its stored form.

    A candidate whose stored form is that of the image itself does not survive, and is not asked about. One whose logits
    are not finite has no answer: the image itself stands in its place.

    Args:
        model: the classifier.
        x_adv: (n, ...) the candidates.
        ball: what is allowed around each image.
        goal: of each image.
        units: (n, 2) of the files, see stored.
    """
    x = ball.round_inside(x_adv)
    with torch.no_grad(), exact_float32():
        logits = _answers(model, x)
        silent = (~torch.isfinite(logits).all(1)).nonzero()[:, 0]
        if len(silent):
            x = x.index_copy(0, silent, ball.center[silent])
            logits = logits.index_copy(0, silent, _answers(model, ball.center[silent]))
        reached = goal.reached(logits) & torch.isfinite(logits).all(1)
        kept = stored(x, units, ball.domain)
        differs = (kept != stored(ball.center, units, ball.domain)).flatten(1).any(1)
        ask = (reached & differs).nonzero()[:, 0]
        survives = torch.zeros_like(reached)
        if len(ask):
            again = _answers(model, kept[ask])
            survives[ask] = take(goal, ask).reached(again) & torch.isfinite(again).all(1)
    return Verdict(x, logits, reached, ball.distance(x), survives)
