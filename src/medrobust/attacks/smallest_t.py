"""The smallest change towards the classes that look nearest: one search rarely leaves the class that it began with."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..engine.abilities import Abilities
from ..engine.count import narrow
from ..engine.keep import Kept, nothing, smallest_success
from ..engine.program import Model
from ..engine.tree import choose, put, take
from ..engine.until_reached import until_reached
from ..goals import Goal, GoalRule, or_wrong, untargeted
from ..streams import Randomness
from ..threat import Ball, Threat
from .parts.hyperplanes import distances, rivals
from .smallest import smallest

FIRST_SHARE = 0.6  # of the steps, for the class that looks nearest


@dataclass(frozen=True, kw_only=True)
class SmallestT:
    """`smallest` towards several classes: those whose boundaries, linear at the image, are the nearest.

    The class with the best logit is often not the nearest, and a search that began towards a farther one stays there:
    on a robust classifier of 7 classes up to half of the distance is lost on single images. DeepFool (Moosavi-Dezfooli
    et al. 2016, arXiv:1511.04599) looks at the boundaries in this way; FAB-T and APGD-T (Croce & Hein 2020,
    arXiv:2003.01690) run a search towards each of several classes. Any wrong answer on the way is a success. With two
    classes, one logit or a target it is `smallest`.

    Returns the nearest point that reached the goal, the image itself where none did.

    Args:
        num_steps: gradients in all: one for each class that is looked at, the others for the searches.
        num_targets: classes that are searched for; the first takes 60 % of the steps.
        num_classes: most likely wrong classes that are looked at.
        goal: see `medrobust.goals`.
        within: a success at this distance or nearer ends the search of an image.

    Errors: ValueError for counts below 1.

    Example:
        >>> x = torch.full((1, 1, 1, 2), 0.5)
        >>> def model(x):  # class 1 has the better logit, class 2 is nearer
        ...     z = x.flatten(1) - 0.5
        ...     return torch.stack([0 * z[:, 0], 0.5 * z[:, 0] - 0.1, 9 * z[:, 1] - 0.9], 1)
        >>> x_adv = smallest_t()(model, x, torch.tensor([0]), Threat(norm="l2"))
        >>> round(float((x_adv - x).norm()), 3)
        0.1
    """

    num_steps: int = 40
    num_targets: int = 2
    num_classes: int = 9
    goal: GoalRule = untargeted
    within: float = 0.0

    def __post_init__(self) -> None:
        for name in ("num_steps", "num_targets", "num_classes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")

    @property
    def abilities(self) -> Abilities:
        return Abilities(kind="minimal", keeping=self._keeping, nearing=self._nearing)

    def _keeping(self) -> SmallestT:
        return replace(self, goal=or_wrong(self.goal))

    def _nearing(self, within: float) -> SmallestT:
        return replace(self, within=within)

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        generator: Randomness = None,
    ) -> Tensor:
        with torch.no_grad():
            logits = model(x)
        ball, goal = threat.around(x), self.goal(logits, y)
        candidates = rivals(logits, goal, self.num_classes)
        if candidates.shape[1] == 1:
            return self._search(model, goal, ball, self.num_steps, alone=True).x.detach()
        order = distances(model, x, goal, ball, candidates).argsort(stable=True, dim=1)
        classes = candidates.gather(1, order)[:, : self.num_targets]
        best = nothing(ball)
        for rank, steps in enumerate(self._shares(candidates.shape[1], classes.shape[1])):
            index = (~(best.reached & (ball.distance(best.x) <= self.within))).nonzero()[:, 0]
            if not len(index):
                break
            towards = _towards(take(goal, index), classes[index, rank])
            found = self._search(narrow(model, index), towards, take(ball, index), steps)
            old = take(best, index)
            best = put(best, index, choose(found.rank > old.rank, found, old))
        return best.x.detach()

    def _shares(self, looked_at: int, targets: int) -> list[int]:
        """The steps of each search."""
        left = max(self.num_steps - looked_at, targets)
        first = left if targets == 1 else max(min(math.ceil(FIRST_SHARE * left), left - targets + 1), 1)
        rest = left - first
        return [first, *(rest // (targets - 1) + (k < rest % (targets - 1)) for k in range(targets - 1))]

    def _search(self, model: Model, goal: Goal, ball: Ball, steps: int, alone: bool = False) -> Kept:
        program = smallest(num_steps=steps)
        if not alone:  # the class is chosen already
            program = replace(program, early_loss=None, early_steps=0)
        keep = smallest_success
        return until_reached(program, model, goal, ball, ball.center, keep=keep, within=self.within)


def _towards(goal: Goal, rival: Tensor) -> Goal:
    """Any wrong answer, searched in the direction of a rival (n,): a class, or the label that changes."""
    if goal.labels.ndim == 1:
        return Goal(rival, True, goal.labels)
    changed = goal.labels.scatter(1, rival[:, None], 1 - goal.labels.gather(1, rival[:, None]))
    return Goal(changed, True, goal.labels)


smallest_t = SmallestT
