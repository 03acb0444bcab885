"""Every budget on its own: how the papers measured, and how an attack of a single step is measured."""

from __future__ import annotations

import torch

from ..attacks.base import Attack
from ..engine.count import Counted
from ..engine.tree import take
from .outcome import Grid, Model, Outcome
from .subjects import Subjects
from .verify import verify


def each_budget(attack: Attack, subjects: Subjects, grid: Grid, model: Model, honest: bool) -> Outcome:
    """Run the attack at each budget, smallest first.

    If honest, an image broken at one budget counts as broken at every larger one and is not attacked there. Otherwise
    every image is attacked at every budget and its last point counts, better or worse than the clean image.
    """
    outcome = Outcome.nothing(subjects.logits, grid)
    open_ = torch.ones(len(subjects.x), dtype=torch.bool)
    outcome.points = subjects.x.clone() if honest else None
    for j, epsilon in enumerate(grid.epsilons):
        index = open_.nonzero()[:, 0]
        if not len(index):
            break
        part = take(subjects, index)
        counted = Counted(model, len(index))
        threat = part.threat(grid, epsilon)
        x_adv = attack(counted, part.x, part.y, threat, generator=part.streams.child(j))
        outcome.forwards[index, j] = counted.forwards
        outcome.backwards[index, j] = counted.backwards
        found = verify(model, x_adv, threat.exact(part.x), part.goal, part.units)
        if outcome.points is None:
            outcome.set(index, j, found)
            continue
        # A targeted attack that lands on another wrong class has made the answer wrong as well.
        won = (found.reached | (found.logits.argmax(1) != part.y)).cpu()
        outcome.set(index[won], slice(j, None), take(found, won.to(found.x.device)))
        outcome.points[index[won]] = found.x[won.to(found.x.device)]
        open_[index[won]] = False
    return outcome
