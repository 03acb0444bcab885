"""Combinators: attacks made of attacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from ..engine.abilities import Abilities, of_all
from ..engine.compact import Again, Next, in_stages
from ..engine.count import narrow
from ..engine.program import Model, clean_goal
from ..engine.tree import put
from ..goals import Goal, GoalRule
from ..norms import per_sample
from ..streams import Randomness, Streams, as_streams
from ..threat import Threat
from .base import Attack
from .honest import honest


def select(threat: Threat, index: Tensor, x: Tensor) -> Threat:
    """The threat of the samples at `index` of the batch x. A mask (h, w) is one for all, in a batch of h images too."""
    epsilon, mask = threat.epsilon, threat.mask
    if isinstance(epsilon, Tensor) and epsilon.ndim and len(epsilon) == len(x):
        epsilon = epsilon[index.to(epsilon.device)]
    if mask is not None and mask.ndim == x.ndim and len(mask) == len(x):
        mask = mask[index.to(mask.device)]
    return replace(threat, epsilon=epsilon, mask=mask)


def _reached(model: Model, x: Tensor, goal: Goal) -> Tensor:
    with torch.no_grad():
        return goal.reached(model(x))


def again_at(threat: Threat, again: Again, n: int) -> Threat:
    """The threat of n samples, of which some have other budgets from now on."""
    epsilon = torch.as_tensor(threat.epsilon, dtype=again.epsilon.dtype, device=again.epsilon.device).expand(n)
    return replace(threat, epsilon=epsilon.index_copy(0, again.at, again.epsilon))


class _Runs(Protocol):
    """An attack made of attacks, each on what the ones before have left."""

    def run(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        streams: Streams,
        size: int | None = None,
        following: Next | None = None,
    ) -> Tensor:
        """The points found; see InBatches."""


@dataclass(frozen=True)
class InBatches:
    """A composed attack for any number of images: each of its attacks gets what is left of all, in full batches.

    Args:
        attack: runs its attacks in batches of a size that it is told.
        size: most images shown to the model at once.
        following: told which images are done, positions (m,), and their points (m, ...); answers which of them are
            asked again, at other budgets, in the same call.
    """

    attack: _Runs
    size: int
    following: Next | None = None

    def __call__(self, model: Model, x: Tensor, y: Tensor, threat: Threat, *, generator: Randomness = None) -> Tensor:
        streams = as_streams(generator, len(x), x.device)
        return self.attack.run(model, x, y, threat, streams, self.size, self.following)


@dataclass(frozen=True)
class WorstCase:
    """The attacks one after the other, each on the images that none before it has broken: the worst case per image.

    Args:
        attacks: tried in this order; each draws its own random numbers.

    Errors: ValueError without attacks.
    """

    attacks: tuple[Attack, ...]

    def __post_init__(self) -> None:
        if not self.attacks:
            raise ValueError("worst_case needs at least one attack")

    @property
    def goal(self) -> GoalRule:
        return self.attacks[0].goal

    @property
    def abilities(self) -> Abilities:
        first = self.attacks[0].abilities
        # Attacks without gradients may see nothing of what a gradient attack would: they get no scout.
        useful = first.kind == "bounded" and first.program is not None and first.program.num_steps > 1
        scout = first.program if useful else None
        return of_all(self.attacks, scout=scout, keeping=self._keeping, batching=partial(InBatches, self))

    def _keeping(self) -> WorstCase:
        return WorstCase(tuple(honest(attack) for attack in self.attacks))

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        generator: Randomness = None,
    ) -> Tensor:
        return self.run(model, x, y, threat, as_streams(generator, len(x), x.device))

    def run(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        streams: Streams,
        size: int | None = None,
        following: Next | None = None,
    ) -> Tensor:
        """The points found; see InBatches."""
        x_adv = x.clone()

        def attempt(stage: int, index: Tensor) -> Tensor:
            attack, seen, part = self.attacks[stage], narrow(model, index), select(threat, index, x)
            found = attack(seen, x[index], y[index], part, generator=streams[index].child("attack", stage))
            # Without a success the last attempt is returned, so that it can be looked at.
            x_adv[index] = found
            return _reached(seen, found, clean_goal(attack.goal, seen, x[index], y[index]))

        def over(index: Tensor) -> Tensor:
            nonlocal streams, threat
            again = following(index, x_adv[index])  # type: ignore[misc]
            threat, streams = again_at(threat, again, len(x)), put(streams, again.at, again.streams)
            return again.at

        settled = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        in_stages(len(self.attacks), attempt, settled, size, over if following else None)
        return x_adv


def worst_case(attacks: Sequence[Attack]) -> WorstCase:
    """Each attack on the images still unbroken: the rule of AutoAttack (Croce & Hein 2020, arXiv:2003.01690)."""
    return WorstCase(tuple(attacks))


def restarts(attack: Attack, num_restarts: int) -> WorstCase:
    """The attack num_restarts times with different random numbers, each time on the images still unbroken.

    Errors: ValueError when num_restarts < 1.

    Example:
        >>> from medrobust.attacks import pgd
        >>> len(restarts(pgd(num_steps=2), 3).attacks)
        3
    """
    if num_restarts < 1:
        raise ValueError(f"restarts must be 1 or more, got {num_restarts}")
    return WorstCase((attack,) * num_restarts)


@dataclass(frozen=True)
class Scouted:
    """An attack that is measured after another one, and only below the budgets at which that broke an image.

    Called by itself it is the attack. Where a curve is measured, the scout runs first; what it breaks counts, and the
    attack is asked at the largest budget that the scout left standing, then at smaller ones as long as it wins.

    Args:
        attack: any attack with a budget.
        scout: one that looks for the smallest change, or a composed one with a budget.
    """

    attack: Attack
    scout: Attack

    @property
    def goal(self) -> GoalRule:
        return self.attack.goal

    @property
    def abilities(self) -> Abilities:
        own = self.attack.abilities
        said = of_all((self.scout, self.attack), batching=own.batching, approach=own.approach)
        return replace(said, scout=self.scout, keeping=self._keeping, steady=False)

    def _keeping(self) -> Scouted:
        return Scouted(honest(self.attack), honest(self.scout))

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        generator: Randomness = None,
    ) -> Tensor:
        return self.attack(model, x, y, threat, generator=generator)


@dataclass(frozen=True)
class SmallestEpsilon:
    """The smallest budget at which an attack wins, by bisection per image: a minimal-norm attack made of a bounded one.

    Args:
        attack: any attack with a budget.
        num_bisections: halvings of the bracket.
        first: the first budget tried, as a share of the largest meaningful one; doubled while the attack fails.
    """

    attack: Attack
    num_bisections: int = 10
    first: float = 1 / 64

    @property
    def goal(self) -> GoalRule:
        return self.attack.goal

    @property
    def abilities(self) -> Abilities:
        return replace(of_all((self.attack,)), kind="minimal", keeping=self._keeping)

    def _keeping(self) -> SmallestEpsilon:
        return replace(self, attack=honest(self.attack))

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        generator: Randomness = None,
    ) -> Tensor:
        streams = as_streams(generator, len(x), x.device)
        ball = threat.around(x)
        goal = clean_goal(self.goal, model, x, y)
        limit = torch.minimum(ball.radius, ball.farthest())
        low, high = torch.zeros_like(limit), limit.clone()
        radius = limit * self.first
        best, found = x.clone(), _reached(model, x, goal)
        high = torch.where(found, 0, high)
        for _ in range(self.num_bisections):
            index = (high > low).nonzero()[:, 0]
            if not len(index):
                break
            seen, budget = narrow(model, index), replace(select(threat, index, x), epsilon=radius[index])
            tried = self.attack(seen, x[index], y[index], budget, generator=streams[index])
            won = _reached(seen, tried, clean_goal(self.goal, seen, x[index], y[index]))
            best[index] = torch.where(per_sample(won, tried), tried, best[index])
            distance = ball.norm.size(tried - x[index])
            high[index] = torch.where(won, torch.minimum(distance, radius[index]), high[index])
            low[index] = torch.where(won, low[index], radius[index])
            found[index] |= won
            middle = (low[index] + high[index]) / 2
            radius[index] = torch.where(found[index], middle, torch.minimum(2 * radius[index], limit[index]))
        # Too few bisections for the doublings to end: nothing is said to fail that was not tried in the whole budget.
        index = (~found & (low < limit)).nonzero()[:, 0]
        if len(index):
            seen, budget = narrow(model, index), replace(select(threat, index, x), epsilon=limit[index])
            tried = self.attack(seen, x[index], y[index], budget, generator=streams[index])
            won = _reached(seen, tried, clean_goal(self.goal, seen, x[index], y[index]))
            best[index] = torch.where(per_sample(won, tried), tried, best[index])
        return best


def smallest_epsilon(attack: Attack, num_bisections: int = 10) -> SmallestEpsilon:
    """The smallest budget at which the attack wins, per image: `SmallestEpsilon` with its other defaults.

    Example:
        >>> from medrobust.attacks import pgd
        >>> smallest_epsilon(pgd()).abilities.kind
        'minimal'
    """
    return SmallestEpsilon(attack, num_bisections)
