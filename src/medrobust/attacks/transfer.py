"""Attacks on a model that one cannot look into, made on another that one can."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ..engine.abilities import Abilities
from ..engine.program import Model
from ..goals import GoalRule, or_wrong
from ..streams import Randomness
from ..threat import Threat
from .base import Attack
from .combine import WorstCase


@dataclass(frozen=True)
class Transfer:
    """The attack on one surrogate; the model under attack is not asked."""

    attack: Attack
    surrogate: Model
    any_wrong: bool = False

    @property
    def goal(self) -> GoalRule:
        return or_wrong(self.attack.goal) if self.any_wrong else self.attack.goal

    @property
    def abilities(self) -> Abilities:
        # The last point is kept: what wins first on the surrogate carries over less often.
        inner = self.attack.abilities
        return Abilities(
            kind=inner.kind,
            needs="labels",
            norms=inner.norms,
            randomized=inner.randomized,
            steady=inner.steady,
            reach=inner.reach,
            parts=(self.attack,),
            keeping=self._keeping,
        )

    def _keeping(self) -> Transfer:
        return replace(self, any_wrong=True)

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        generator: Randomness = None,
    ) -> Tensor:
        return self.attack(self.surrogate, x, y, threat, generator=generator)


def transfer(attack: Attack, *surrogates: Model) -> WorstCase:
    """Adversarials made on surrogates, judged by the model: per image the first that changes the model's decision.

    Costs the model one forward per image and surrogate. A model that falls to transfer but not to its own gradients
    masks them (Papernot et al. 2017, arXiv:1602.02697; Athalye et al. 2018, arXiv:1802.00420).

    Args:
        attack: any; it runs on each surrogate with other random numbers.
        surrogates: x -> logits of the same classes, with their parameters frozen, as the model's are.

    Errors: ValueError without a surrogate.

    Example:
        >>> import torch
        >>> from medrobust.attacks import fgsm
        >>> one = lambda x: torch.stack([x.flatten(1).sum(1) - 2, 2 - x.flatten(1).sum(1)], 1)
        >>> opaque = lambda x: one(x).detach().sign()
        >>> x = torch.full((1, 1, 2, 2), 0.51)
        >>> x_adv = transfer(fgsm(), one)(opaque, x, torch.tensor([0]), Threat(epsilon=0.1))
        >>> opaque(x_adv).argmax(1)
        tensor([1])
    """
    if not surrogates:
        raise ValueError("transfer needs at least one surrogate")
    return WorstCase(tuple(Transfer(attack, surrogate) for surrogate in surrogates))
