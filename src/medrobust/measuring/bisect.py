"""Attacks with a loop of their own over a grid of budgets: bisection per image, or one run of a minimal-norm attack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..attacks.base import Attack
from ..engine.compact import Again, pieces
from ..engine.count import Counted
from ..engine.tree import concatenate, take
from ..engine.until_reached import Near
from .as_saved import extend_saved
from .outcome import Grid, Model, Outcome
from .search_model import SearchModel
from .subjects import Subjects
from .sweep import Effort, bracket
from .verify import Verdict, verify


class _Asked(NamedTuple):
    """The result for m images, each at its budget: slot (m,), verdict, won (m,), claimed (m,) by the search model."""

    slot: Tensor
    found: Verdict
    won: Tensor
    claimed: Tensor


class _Bisection:
    """The search of m images over a grid: broken at budget `high`, not at `low` (positions; at first e and -1)."""

    def __init__(self, attack: Attack, subjects: Subjects, grid: Grid, search: SearchModel, size: int) -> None:
        self._attack, self._subjects, self._grid, self._size = attack, subjects, grid, size
        self._model, self._itself = search.model, search.itself
        self._epsilons = grid.radii
        self._low, self._high = torch.full((len(subjects.x),), -1), torch.full((len(subjects.x),), len(self._epsilons))
        self._stride = torch.ones_like(self._high)
        self._best = subjects.x.clone()
        self._outcome = Outcome.nothing(subjects.logits, grid)

    def scouted(self, search: SearchModel, effort: Effort) -> None:
        """Begin below the smallest budget at which the attack's scout broke each image; its failures say nothing."""
        scout, last = self._attack.abilities.scout, len(self._epsilons) - 1
        if scout.abilities.kind == "minimal":
            everyone = torch.arange(len(self._high))
            near, said = float(self._epsilons[0]) * (1 - 1e-6), scout.abilities
            if said.nearing is not None:  # no smaller budget is asked about
                scout = said.nearing(near)
            elif said.program is not None:
                scout = Near(said.program, near)
            self._note(everyone, self._ask(everyone, torch.full_like(self._high, last), self._itself, scout))
            self._low[:] = -1
            return
        self._outcome, self._best, self._high = bracket(
            scout, self._subjects, self._grid, search, replace(effort, whole=False)
        )

    def step(self, search_model: Model, once: bool) -> bool:
        """Attack every image whose bracket is open at its next budget; False when none is."""
        index = (self._high - self._low > 1).nonzero()[:, 0]
        if not len(index):
            return False
        slot = self._high[index] - 1 if once else self._next(index)
        self._note(*self._certain(index, self._ask(index, slot, search_model)))
        return True

    def _certain(self, index: Tensor, asked: _Asked) -> tuple[Tensor, _Asked]:
        """What the search model claims and the classifier denies is attacked again with the classifier itself."""
        doubtful = asked.claimed & ~asked.won
        if not bool(doubtful.any()):
            return index, asked
        again, sure = index[doubtful], (~doubtful).nonzero()[:, 0]
        last = self._ask(again, asked.slot[doubtful], self._model)
        return torch.cat([index[sure], again]), concatenate([take(asked, sure), last])

    def _next(self, index: Tensor) -> Tensor:
        """The position (m,) of the budget at which the images at index (m,) are asked next."""
        low, high = self._low[index], self._high[index]
        slot = (low + high) // 2
        if self._attack.abilities.scout is not None:
            slot = torch.maximum(high - self._stride[index], torch.where(low < 0, 0, slot))
            self._stride[index] *= 2
        return slot

    def _ask(
        self, index: Tensor, slot: Tensor, search_model: Model, attack: Callable[..., Tensor] | None = None
    ) -> _Asked:
        """Attack the images at index (m,), each at its slot, with the search model; the classifier judges."""
        run, asked = attack or self._attack, []
        for some in pieces(torch.arange(len(index)), self._size):
            x_adv = self._tried(run, index[some], slot[some], search_model)
            asked.append(self._judged(index[some], slot[some], x_adv, search_model))
        return concatenate(asked)

    def _judged(self, index: Tensor, slot: Tensor, x_adv: Tensor, search_model: Model) -> _Asked:
        """What the points (m, ...) found for the images at index (m,), each at its slot, are worth."""
        part = take(self._subjects, index.to(x_adv.device))
        threat = part.threat(self._grid, self._epsilons[slot].to(part.x))
        found = verify(self._model, x_adv, threat.exact(part.x), part.goal, part.units)
        won = (found.reached | (found.logits.argmax(1) != part.y)).cpu()
        claimed = won
        if search_model is not self._model:
            with torch.no_grad():
                claimed = won | part.goal.reached(search_model(x_adv)).cpu()
        return _Asked(slot, found, won, claimed)

    def together(self, batching: Callable[..., Attack]) -> None:
        """Narrow all brackets in one call: an image that is done at a budget is asked at its next one at once."""
        index = (self._high - self._low > 1).nonzero()[:, 0]
        if not len(index):
            return
        slot = self._next(index)
        part = take(self._subjects, index.to(self._subjects.x.device))
        counted, outcome = Counted(self._itself, len(index)), self._outcome
        forwards, backwards = torch.zeros_like(index), torch.zeros_like(index)

        def count(at: Tensor) -> None:
            outcome.forwards[index[at], slot[at]] += counted.forwards[at] - forwards[at]
            outcome.backwards[index[at], slot[at]] += counted.backwards[at] - backwards[at]
            forwards[at], backwards[at] = counted.forwards[at], counted.backwards[at]

        def following(over: Tensor, x_adv: Tensor) -> Again:
            at = over.cpu()
            count(at)
            for some in pieces(torch.arange(len(at)), self._size):
                known = at[some]
                points = x_adv[some.to(x_adv.device)]
                judged = self._judged(index[known], slot[known], points, self._itself)
                self._note(*self._certain(index[known], judged))
            back = at[(self._high - self._low > 1)[index[at]]]
            slot[back] = self._next(index[back])
            where, label = back.to(over.device), slot[back].to(over.device)
            return Again(where, self._epsilons[slot[back]].to(part.x), part.streams[where].child(label))

        threat = part.threat(self._grid, self._epsilons[slot].to(part.x))
        streams = part.streams.child(slot.to(part.x.device))
        batching(self._size, following)(counted, part.x, part.y, threat, generator=streams)

    def _tried(self, run: Callable[..., Tensor], index: Tensor, slot: Tensor, search_model: Model) -> Tensor:
        """The points that an attack finds for the images at index (m,), each at its slot; what it costs is noted."""
        part = take(self._subjects, index.to(self._subjects.x.device))
        counted = Counted(search_model, len(index))
        threat = part.threat(self._grid, self._epsilons[slot].to(part.x))
        x_adv = run(counted, part.x, part.y, threat, generator=part.streams.child(slot.to(part.x.device)))
        self._outcome.forwards[index, slot] += counted.forwards
        self._outcome.backwards[index, slot] += counted.backwards
        return x_adv

    def _note(self, index: Tensor, asked: _Asked) -> None:
        """Narrow the brackets of the images at index; what won is written to the outcome from its budget on."""
        won, slot = asked.won, asked.slot
        nearest = torch.searchsorted(self._epsilons, asked.found.distance.double().cpu())
        self._high[index[won]] = torch.minimum(nearest, slot)[won]
        self._low[index[~won]] = slot[~won]
        where = won.to(asked.found.x.device)
        self._best[index[won]] = asked.found.x[where]
        self._outcome.set_from(index[won], self._high[index[won]], take(asked.found, where))

    def settle(self) -> None:
        """Ask the attack on the classifier itself where only its copy has failed: no failure may rest on the copy.

        Each image is asked at the largest budget that failed; where it is broken, at the next budget below.
        """
        own = torch.zeros_like(self._low, dtype=torch.bool)
        while True:
            index = ((self._low >= 0) & ~own).nonzero()[:, 0]
            if not len(index):
                return
            index, asked = self._certain(index, self._ask(index, self._low[index], self._itself))
            own[index[~asked.won]] = True
            won = asked.won.nonzero()[:, 0]
            self._note(index[won], take(asked, won))
            self._low[index[won]] = self._high[index[won]] - 1

    def ended(self) -> Outcome:
        """The outcome, once no bracket is open any more."""
        extend_saved(self._outcome, self._subjects, self._best, self._model, self._size)
        self._outcome.points = self._best
        return self._outcome


def bisect(attack: Attack, subjects: Subjects, grid: Grid, search: SearchModel, effort: Effort) -> Outcome:
    """The smallest budget of a grid at which the attack breaks each image; budgets differ from image to image.

    A budget that fails rules out the smaller ones, one that succeeds the larger ones; a point nearer than its budget
    counts for every budget it fits. A minimal-norm attack runs once, at the largest budget, on the classifier itself.
    An attack with a scout starts below the smallest budget at which that broke the image, and steps down, twice as far
    each time. In the end every failure is one of the attack on the classifier itself, or on a copy of it in single
    precision.

    Args:
        attack: any; see its abilities.
        subjects: the images; at most effort.num_lanes of them are shown to a model at once.
        grid: norm and budgets.
        search: the classifier, and a fast copy for attacks with a budget.
        effort: batch size and care of the scout.
    """
    said = attack.abilities
    once = said.kind == "minimal"
    state = _Bisection(attack, subjects, grid, search, effort.num_lanes)
    if said.scout is not None:
        state.scouted(search, effort)
    # Below what a scout has found most runs fail, and a failure would be asked of the classifier anyway.
    alone = once or said.scout is not None
    searcher = search.itself if alone else search.fast
    if alone and not once and said.batching is not None:
        state.together(said.batching)
    while state.step(searcher, once) and not once:
        pass
    if searcher is not search.itself:
        state.settle()
    return state.ended()
