"""Every budget on its own: how the papers measured, and how an attack that is not a program is measured."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..attacks.base import Attack
from ..engine.count import Counted
from ..engine.program import clean_goal
from ..streams import Streams
from ..threat import Threat
from .outcome import Grid, Outcome
from .verify import verify


def each_budget(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    attack: Attack,
    grid: Grid,
    clean_logits: Tensor,
    bit_depth: Tensor,
    streams: Streams,
    *,
    honest: bool,
) -> Outcome:
    """Run the attack at each budget, smallest first.

    honest: an image broken at one budget is not attacked at larger ones, which it is broken at too. Otherwise every
    image is attacked at every budget and its last point is what counts, better or worse than the clean image.
    """
    outcome = Outcome.nothing(clean_logits.cpu(), len(grid.epsilons))
    open_ = torch.ones(len(x), dtype=torch.bool)
    for j, epsilon in enumerate(grid.epsilons):
        index = open_.nonzero()[:, 0]
        if not len(index):
            break
        part, labels = x[index], y[index]
        counted = Counted(model, len(index))
        threat = Threat(epsilon=epsilon, norm=grid.norm, domain=grid.domain)
        x_adv = attack(counted, part, labels, threat, generator=streams[index.to(streams.keys.device)].child(j))
        outcome.forwards[index, j] = counted.forwards
        outcome.backwards[index, j] = counted.backwards
        found = verify(
            model, x_adv, threat.around(part), clean_goal(attack.goal, model, part, labels), bit_depth[index]
        )
        if not honest:
            outcome.set(index, j, found)
            continue
        # A targeted attack that lands on another wrong class has made the answer wrong as well.
        won = (found.reached | (found.logits.argmax(1) != labels)).cpu()
        outcome.set(index[won], slice(j, None), type(found)(*(value[won.to(value.device)] for value in found)))
        open_[index[won]] = False
    return outcome
