"""Attacks with a loop of their own over a grid of budgets: bisection per image, or one run of a minimal-norm attack."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..attacks.autoattack import AutoAttack
from ..attacks.base import Attack
from ..attacks.combine import WorstCase
from ..attacks.pgd import pgd
from ..engine.count import Counted
from ..engine.program import Program, clean_goal
from ..engine.tree import take
from ..losses import margin
from ..streams import Streams
from ..threat import Threat
from .as_saved import extend_stored
from .outcome import Grid, Outcome
from .sweep import Effort, bracket
from .verify import Verdict, verify

Model = Callable[[Tensor], Tensor]


def looks_for_smallest(attack: Attack) -> bool:
    """Whether one run gives the smallest change, so that a budget is only its upper limit."""
    if isinstance(attack, Program):
        return attack.radius is not None
    return bool(getattr(attack, "minimal", False))


def scout_of(attack: Attack) -> Program | None:
    """A gradient attack that may go before a set of attacks: each image is left for the set at smaller budgets only.

    None for attacks whose own strength is the question, such as those that take no gradients.
    """
    if isinstance(attack, AutoAttack):
        return pgd(num_steps=20, loss=margin)
    if isinstance(attack, WorstCase):
        first = attack.attacks[0]
        return first if isinstance(first, Program) and first.radius is None and first.num_steps > 1 else None
    return None


class _Asked(NamedTuple):
    """Images at a budget each: slot (m,), verdict of the classifier, won (m,), claimed (m,) by the search model."""

    slot: Tensor
    found: Verdict
    won: Tensor
    claimed: Tensor


class _Grid:
    """The search of m images over a grid; `high` broke, `low` did not (positions; -1 and e at first)."""

    def __init__(
        self, model: Model, x: Tensor, y: Tensor, attack: Attack, grid: Grid, depth: Tensor, streams: Streams
    ) -> None:
        self.model, self.x, self.y, self.attack, self.grid = model, x, y, attack, grid
        self.depth, self.streams = depth, streams
        self.epsilons = torch.tensor(grid.epsilons, dtype=torch.float64)
        self.low, self.high = torch.full((len(x),), -1), torch.full((len(x),), len(grid.epsilons))
        self.best = x.clone()
        self.goal = clean_goal(attack.goal, model, x, y)

    def ask(self, outcome: Outcome, index: Tensor, slot: Tensor, search_model: Model) -> _Asked:
        """Attack the images at index (m,), each at its slot, with the search model; the classifier judges."""
        part, where = self.x[index], index.to(self.streams.keys.device)
        counted = Counted(search_model, len(index))
        threat = Threat(epsilon=self.epsilons[slot].to(part), norm=self.grid.norm, domain=self.grid.domain)
        generator = self.streams[where].child(slot.to(where.device))
        x_adv = self.attack(counted, part, self.y[index], threat, generator=generator)
        outcome.forwards[index, slot] += counted.forwards
        outcome.backwards[index, slot] += counted.backwards
        goal = take(self.goal, index.to(part.device))
        found = verify(self.model, x_adv, threat.around(part), goal, self.depth[index.to(self.depth.device)])
        won = (found.reached | (found.logits.argmax(1) != self.y[index])).cpu()
        claimed = won
        if search_model is not self.model:
            with torch.no_grad():
                claimed = won | goal.reached(search_model(x_adv)).cpu()
        return _Asked(slot, found, won, claimed)

    def note(self, outcome: Outcome, index: Tensor, asked: _Asked) -> None:
        """Narrow the brackets of the images at index; what won is written to the outcome from its budget on."""
        won, slot = asked.won, asked.slot
        nearest = torch.searchsorted(self.epsilons, asked.found.distance.double().cpu())
        self.high[index[won]] = torch.minimum(nearest, slot)[won]
        self.low[index[~won]] = slot[~won]
        self.best[index[won]] = asked.found.x[won.to(asked.found.x.device)]
        for at in self.high[index[won]].unique().tolist():
            chosen = won & (self.high[index] == at)
            outcome.set(index[chosen], slice(at, None), take(asked.found, chosen.to(asked.found.x.device)))


def bisect(
    model: Model,
    x: Tensor,
    y: Tensor,
    attack: Attack,
    grid: Grid,
    clean_logits: Tensor,
    bit_depth: Tensor,
    streams: Streams,
    *,
    search_model: Model | None = None,
    effort: Effort | None = None,
) -> Outcome:
    """The smallest budget of a grid at which the attack breaks each image; budgets differ from image to image.

    A budget that fails rules out the smaller ones, one that succeeds the larger ones; a point nearer than its budget
    counts for every budget it fits. A minimal-norm attack runs once, at the largest budget. A set of attacks starts
    below the smallest budget at which a sweep of its scout broke the image, and steps down, twice as far each time.

    Args:
        search_model: a fast copy for attacks with a budget; what it breaks and the classifier does not confirm is
            attacked again with the classifier itself. The classifier by default.
        effort: batch size and care of the scout.
        Others as in `sweep`, with y (n,) the labels to leave and streams of the images.
    """
    once, scout = looks_for_smallest(attack), scout_of(attack)
    search_model = model if once or search_model is None else search_model
    state = _Grid(model, x, y, attack, grid, bit_depth, streams)
    outcome = Outcome.nothing(clean_logits.cpu(), len(grid.epsilons))
    if scout is not None:
        effort = effort or Effort(max(len(x), 1))
        swept = bracket(
            scout, model, x, state.goal, grid, clean_logits, bit_depth, search_model=search_model, effort=effort
        )
        outcome, state.best, state.high = swept
    stride = torch.ones_like(state.high)
    while bool((state.high - state.low > 1).any()):
        index = (state.high - state.low > 1).nonzero()[:, 0]
        low, high = state.low[index], state.high[index]
        slot = (low + high) // 2
        if once:
            slot = high - 1
        elif scout is not None:
            slot = torch.maximum(high - stride[index], torch.where(low < 0, 0, slot))
            stride[index] *= 2
        asked = state.ask(outcome, index, slot, search_model)
        doubtful = asked.claimed & ~asked.won
        sure = (~doubtful).nonzero()[:, 0]
        state.note(outcome, index[sure], take(asked, sure))
        if bool(doubtful.any()):
            again = index[doubtful]
            state.note(outcome, again, state.ask(outcome, again, slot[doubtful], model))
        if once:
            break
    ball = Threat(epsilon=grid.epsilons[-1], norm=grid.norm, domain=grid.domain).around(x)
    extend_stored(outcome, model, ball, state.best, state.high, state.goal, bit_depth, grid, max(len(x), 1))
    return outcome
