"""Does a map depend on what the network learned? Its weights are drawn anew, and the map must be another one."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..records.intervals import Estimate, Grouping
from .agreement import rank_correlation

MOST = 0.5  # mean rank correlation at which a map says more about the image than about the network


class Sanity(NamedTuple):
    """What came of drawing the weights anew.

    Args:
        verdict: "passed", "failed", or "not known".
        rank_correlation: mean of Spearman's between the map and that of the network with new weights.
        num_images: where both maps have an order.
        reason: why it is not known, else "".
    """

    verdict: str
    rank_correlation: Estimate
    num_images: int
    reason: str = ""


class Step(NamedTuple):
    """One step of a cascade.

    Args:
        num_layers: that are drawn anew, counted from the last.
        rank_correlation: mean of Spearman's between the map and that of the network with these layers new.
    """

    num_layers: int
    rank_correlation: Estimate


def randomized(model: nn.Module, seed: int = 0, last: int | None = None) -> nn.Module | None:
    """A copy whose weights are normal, each with mean 0 and the standard deviation that it had; None without weights.

    With last, only so many weights from the end, in the order in which the network has them; they get the same values
    however many more do.

    Weights are all parameters of two dimensions or more, and where there are none such buffers. Biases and
    normalization stay, so that signals keep about their size.

    Example:
        >>> net = nn.Linear(50, 50)
        >>> other = randomized(net)
        >>> bool(abs(other.weight.std() / net.weight.std() - 1) < 0.1), bool((other.weight == net.weight).any())
        (True, False)
    """
    other = copy.deepcopy(model)
    chosen = _weights(other)
    # Not seed itself: a network that was made from seed 0 would be drawn once more.
    mixed = hashlib.blake2b(f"new weights {seed}".encode(), digest_size=7).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(mixed, "little"))
    with torch.no_grad():
        for i, weight in enumerate(chosen):
            drawn = torch.randn(weight.shape, generator=generator).to(weight)
            if last is None or i >= len(chosen) - last:
                weight.copy_(drawn * weight.std())
    return other if chosen else None


def _weights(model: nn.Module) -> list[Tensor]:
    """Parameters of two dimensions or more, and where there are none such buffers."""
    pools = (list(model.parameters()), list(model.buffers()))
    weights = [[w for w in pool if w.ndim > 1 and w.is_floating_point() and w.numel() > 1] for pool in pools]
    return weights[0] or weights[1]


def cascade(
    make: Callable[..., Tensor],
    model: nn.Module,
    x: Tensor,
    maps: Tensor,
    target: Tensor,
    grouping: Grouping,
    seed: int = 0,
    most: int = 5,
) -> list[Step]:
    """The same test layer by layer, from the last to the first: Adebayo et al. 2018, section 3.1.

    Args:
        make, model, x, maps, target, grouping, seed: as for sanity, whose network is that of the last step.
        most: steps, spread evenly from one layer to all.

    Returns nothing where the network cannot be copied or has no weights.

    Example:
        >>> x, net = torch.rand(4, 1, 8, 8), nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Linear(8, 2))
        >>> def bright(model, x, target):
        ...     return x.amax(1)
        >>> steps = cascade(bright, net, x, bright(net, x, 0), torch.zeros(4), Grouping(np.arange(4)))
        >>> [(step.num_layers, round(step.rank_correlation.value, 6)) for step in steps]
        [(1, 1.0), (2, 1.0)]
    """
    count = len(_weights(model))
    steps = []
    for last in sorted({round(float(k)) for k in np.linspace(1, count, most)}) if count else ():
        try:
            other = randomized(model, seed, last)
        except (RuntimeError, TypeError, ValueError):  # programs that cannot be copied
            return []
        found = rank_correlation(maps, make(other, x, target))
        steps.append(Step(last, grouping.mean_between(found, -1.0, 1.0)))
    return steps


def sanity(
    make: Callable[..., Tensor],
    model: nn.Module,
    x: Tensor,
    maps: Tensor,
    target: Tensor,
    grouping: Grouping,
    seed: int = 0,
) -> Sanity:
    """The model randomization test of Adebayo et al. 2018 (arXiv:1810.03292), all layers at once.

    A map fails where the mean rank correlation is 0.5 or more; that is our threshold, the paper has none.

    Args:
        make: (model, x, target) -> maps.
        model: the classifier, which stays as it is.
        x: (n, c, *spatial) images.
        maps: (n, *spatial) what make gave for the classifier.
        target: (n,) the classes that were explained.
        grouping: which images belong together.
        seed: of the new weights.

    Example:
        >>> x, net = torch.rand(4, 1, 8, 8), nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
        >>> def bright(model, x, target):
        ...     return x.amax(1)
        >>> sanity(bright, net, x, bright(net, x, 0), torch.zeros(4), Grouping(np.arange(4))).verdict
        'failed'
    """
    try:
        other = randomized(model, seed)
    except (RuntimeError, TypeError, ValueError) as error:  # programs that cannot be copied
        other, reason = None, f"the network cannot be copied ({type(error).__name__})"
    else:
        reason = "" if other else "the network has no weights that could be drawn anew"
    found = np.full(len(x), np.nan) if other is None else rank_correlation(maps, make(other, x, target))
    mean = grouping.mean_between(found, -1.0, 1.0)
    count = int((~np.isnan(found)).sum())
    if not count:
        return Sanity("not known", mean, 0, reason or "no map has an order of pixels")
    return Sanity("failed" if mean.value >= MOST else "passed", mean, count)
