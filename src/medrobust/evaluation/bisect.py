"""Attacks with a loop of their own over a grid of budgets: bisection per image, or one run of a minimal-norm attack."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..attacks.base import Attack
from ..engine.count import Counted
from ..engine.program import Program, clean_goal
from ..streams import Streams
from ..threat import Threat
from .outcome import Grid, Outcome
from .stored import extend_stored
from .verify import Verdict, verify


def looks_for_smallest(attack: Attack) -> bool:
    """Whether one run gives the smallest change, so that a budget is only its upper limit."""
    if isinstance(attack, Program):
        return attack.radius is not None
    return bool(getattr(attack, "minimal", False))


def bisect(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    attack: Attack,
    grid: Grid,
    clean_logits: Tensor,
    bit_depth: Tensor,
    streams: Streams,
) -> Outcome:
    """The smallest budget of a grid at which the attack breaks each image; budgets differ from image to image.

    A budget that fails rules out the smaller ones, one that succeeds the larger ones; a point nearer than its budget
    counts for every budget it fits. A minimal-norm attack runs once, at the largest budget.
    """
    outcome = Outcome.nothing(clean_logits.cpu(), len(grid.epsilons))
    epsilons = torch.tensor(grid.epsilons, dtype=torch.float64)
    low, high = torch.full((len(x),), -1), torch.full((len(x),), len(epsilons))
    best = x.clone()
    once = looks_for_smallest(attack)
    while bool((high - low > 1).any()):
        index = (high - low > 1).nonzero()[:, 0]
        slot = torch.full_like(index, len(epsilons) - 1) if once else (low[index] + high[index]) // 2
        part, labels, where = x[index], y[index], index.to(streams.keys.device)
        counted = Counted(model, len(index))
        threat = Threat(epsilon=epsilons[slot].to(x), norm=grid.norm, domain=grid.domain)
        x_adv = attack(counted, part, labels, threat, generator=streams[where].child(slot.to(where.device)))
        outcome.forwards[index, slot] += counted.forwards
        outcome.backwards[index, slot] += counted.backwards
        goal = clean_goal(attack.goal, model, part, labels)
        found = verify(model, x_adv, threat.around(part), goal, bit_depth[index.to(bit_depth.device)])
        won = (found.reached | (found.logits.argmax(1) != labels)).cpu()
        nearest = torch.searchsorted(epsilons, found.distance.double().cpu())
        high[index[won]] = torch.minimum(nearest, slot)[won]
        low[index[~won]] = slot[~won]
        best[index[won]] = found.x[won.to(found.x.device)]
        for at in high[index[won]].unique().tolist():
            chosen = won & (high[index] == at)
            outcome.set(index[chosen], slice(at, None), Verdict(*(v[chosen.to(v.device)] for v in found)))
        if once:
            break
    goal = clean_goal(attack.goal, model, x, y)
    ball = Threat(epsilon=grid.epsilons[-1], norm=grid.norm, domain=grid.domain).around(x)
    extend_stored(outcome, model, ball, best, high, goal, bit_depth, grid, max(len(x), 1))
    return outcome
