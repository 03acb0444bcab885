"""What every attack is: a callable with one signature."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from ..engine.abilities import Abilities
from ..engine.program import Model
from ..goals import GoalRule
from ..streams import Randomness
from ..threat import Threat


class Attack(Protocol):
    """attack(model, x, y, threat, generator=None) -> x_adv, with x (n, c, *spatial) and y (n,).

    x_adv is like x, inside the ball and the domain.
    """

    @property
    def goal(self) -> GoalRule:
        """What the attack wants, so that others can tell whether it got there."""

    @property
    def abilities(self) -> Abilities:
        """What it is and what it needs; see Abilities."""

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        generator: Randomness = None,
    ) -> Tensor: ...
