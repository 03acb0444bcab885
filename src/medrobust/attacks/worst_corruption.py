"""The worst corruption of a family: a search over all severities and draws, with nothing but the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..corruptions import FAMILIES, Corruption, choose, draws_of
from ..engine.abilities import Abilities
from ..engine.count import narrow
from ..engine.program import Model
from ..engine.tree import take
from ..errors import UserError
from ..goals import GoalRule, or_wrong, untargeted
from ..streams import Randomness
from ..threat import Threat


@dataclass(frozen=True, kw_only=True)
class WorstCorruption:
    """See `worst_corruption`."""

    only: tuple[str, ...] = ()
    goal: GoalRule = untargeted

    @property
    def abilities(self) -> Abilities:
        norms = tuple(name for name, family in FAMILIES.items() if self._tried & set(family.members))
        return Abilities(kind="minimal", needs="labels", norms=norms, keeping=self._keeping)

    def _keeping(self) -> WorstCorruption:
        return replace(self, goal=or_wrong(self.goal))

    @property
    def _tried(self) -> set[Corruption]:
        return set(choose(self.only or ("all",)))

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        generator: Randomness = None,
    ) -> Tensor:
        name, ball = threat.norm.name, threat.around(x)
        if name not in self.abilities.norms:
            raise ValueError(f"worst_corruption is made for {', '.join(self.abilities.norms)}, not for {name}")
        with torch.no_grad():
            logits = model(x)
        goal, streams, members = self.goal(logits, y), draws_of(x), self._tried
        open_, found = ~goal.reached(logits), x.clone()
        for change in FAMILIES[name].changes():
            (index,) = torch.where(open_ & (ball.radius >= change.severity))
            if change.corruption not in members or not len(index):
                continue
            tried = change.of(x[index], threat.domain, streams[index])
            with torch.no_grad():
                reached = take(goal, index).reached(narrow(model, index)(tried))
            found[index[reached]] = tried[reached]
            open_[index[reached]] = False
        return found


def worst_corruption(*, only: Sequence[str] | str = (), goal: GoalRule = untargeted) -> WorstCorruption:
    """The mildest corruption of a family that misleads: every half of a severity, every draw, the mildest first.

    For a threat whose norm is a family of corruptions and whose epsilon is a severity. All that lies within the budget
    is tried, so that the result is exact: what stands has withstood every member of the family, at every severity
    up to the budget, in each of its draws (directions, places, noises; see `medrobust.corruptions.Family`). Costs one
    forward for each of them while an image stands. A grid search over rotations and shifts is the strong attack of
    Engstrom et al. 2019 (arXiv:1712.02779); the corruptions are in the manner of Hendrycks & Dietterich 2019
    (arXiv:1903.12261) and MedMNIST-C (Di Salvo et al. 2024, arXiv:2406.17536).

    Args:
        only: corruptions or modalities (`medrobust.corruptions.MODALITIES`) to which the search is limited; all of the
            family by default.
        goal: see `medrobust.goals`.

    Errors: ValueError for an unknown name, for a norm that is no family, or one of which `only` leaves nothing; for a
        threat with a mask; and for signals (n, c, length).

    Example:
        >>> dark = lambda x: torch.stack([x.flatten(1).mean(1), 0 * x.flatten(1).mean(1) + 0.5], 1)
        >>> x = torch.full((1, 1, 8, 8), 0.62)
        >>> threat = Threat(3, norm="light")
        >>> x_adv = worst_corruption(only="darker")(dark, x, torch.tensor([0]), threat)
        >>> threat.around(x).distance(x_adv).item()
        2.5
    """
    names = (only,) if isinstance(only, str) else tuple(only)
    try:
        choose(names)
    except UserError as error:
        raise ValueError(f"{error.problem}, {error.fix}") from error
    return WorstCorruption(only=names, goal=goal)
