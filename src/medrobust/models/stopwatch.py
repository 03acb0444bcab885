"""Which of several copies of a classifier gives gradients fastest, by trying."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter

import torch
from torch import Tensor

from .classifier import Classifier

SECONDS = 0.4  # for all copies, after their first pass
LEAST = 4  # images at a time, however slow the network
CLEARLY = 0.92  # of the time of an earlier copy: less of a gain is noise


def fastest(copies: Mapping[str, Classifier], example: Tensor, batch_size: int) -> tuple[str, dict[str, float]]:
    """The name of the copy that gives the gradients by the images in the least time, and all rates that were measured.

    Args:
        copies: name -> copy; an earlier one is preferred where the times are alike.
        example: (n, c, *spatial) images, repeated to fill a batch.
        batch_size: images at a time in the real work; fewer are tried where that would take long.

    Returns the name, and for each copy its gradients in a second.

    Example:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
        >>> nets = {name: Classifier(net, channels=1) for name in "ab"}
        >>> name, rates = fastest(nets, torch.rand(3, 1, 2, 2), 8)
        >>> name in nets and all(rate > 0 for rate in rates.values())
        True
    """
    if len(copies) == 1:
        return next(iter(copies)), {}
    few = _filled(example, min(batch_size, LEAST))
    warm = {name: min(_seconds(model, few), _seconds(model, few)) for name, model in copies.items()}
    share = SECONDS / (2 * len(copies)) / (min(warm.values()) / len(few))
    x = _filled(example, max(min(batch_size, int(share)), min(batch_size, LEAST)))
    best: dict[str, float] = dict.fromkeys(copies, float("inf"))
    began = perf_counter()
    while True:
        for name, model in copies.items():
            if best[name] < 1.5 * min(best.values()) or best[name] == float("inf"):
                best[name] = min(best[name], _seconds(model, x))
        if perf_counter() - began > SECONDS:
            break
    rates = {name: len(x) / seconds for name, seconds in best.items()}
    return clearly_fastest(rates), rates


def clearly_fastest(rates: Mapping[str, float]) -> str:
    """The name of the highest rate; an earlier one is preferred to a gain that may be noise.

    Example:
        >>> clearly_fastest({"a": 100, "b": 101, "c": 150})
        'c'
    """
    chosen = next(iter(rates))
    for name in rates:
        if rates[name] * CLEARLY > rates[chosen]:
            chosen = name
    return chosen


def rate(model: Callable[[Tensor], Tensor], example: Tensor, batch_size: int) -> float:
    """Gradients in a second, of one network on a device whose times do not vary: a graphics card."""
    x = _filled(example, batch_size)
    warm = min(_seconds(model, x), _seconds(model, x))
    return batch_size / min(_seconds(model, x) for _ in range(max(2, min(20, int(SECONDS / 4 / warm)))))


def _filled(example: Tensor, n: int) -> Tensor:
    return example.repeat(-(-n // len(example)), *[1] * (example.ndim - 1))[:n]


def _seconds(model: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """Of one gradient by the images of a batch; of the answers of a network that gives none."""
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    began = perf_counter()
    try:
        with torch.enable_grad():
            leaf = x.detach().clone().requires_grad_()
            torch.autograd.grad(model(leaf).square().sum(), leaf)
    except Exception:  # attacks that need no gradient search such a network
        began = perf_counter()
        with torch.no_grad():
            model(x)
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    return perf_counter() - began
