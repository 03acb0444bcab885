"""Training objectives by their names. Adding one is a file and a line in OBJECTIVES."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..errors import UserError, nearest
from .adversarial import Adversarial, AgainstAttack
from .amat import Amat
from .awp import Awp
from .base import Loss, TrainingObjective
from .clean import Clean
from .dpaat import Dpaat
from .epsilon import Adaptive, Constant, EpsilonRule, Outcome, WarmUp
from .fast import Fast, Free
from .mirst import Mirst, Rst
from .regularized import GradientRegularized, LocallyLinear
from .trades import Mart, Trades

OBJECTIVES: dict[str, type[TrainingObjective]] = {
    "clean": Clean,
    "adversarial": Adversarial,
    "amat": Amat,
    "dpaat": Dpaat,
    "fast": Fast,
    "free": Free,
    "gr": GradientRegularized,
    "llr": LocallyLinear,
    "mart": Mart,
    "mirst": Mirst,
    "rst": Rst,
    "trades": Trades,
}


def make_objective(name: str, options: Mapping[str, Any], **setting: Any) -> TrainingObjective:
    """An objective by name, with the user's options and what the run knows (threat, attack, num_images, seed ...).

    Of the setting, an objective takes what it has a parameter for. Errors: UserError for an unknown name or option, or
    a value that the objective refuses.

    Example:
        >>> from medrobust.threat import Threat
        >>> make_objective("adversarial", {"clean_weight": 0.5}, threat=Threat(epsilon=0.1), seed=3).clean_weight
        0.5
    """
    if name not in OBJECTIVES:
        raise UserError("objective.name", f"unknown objective {name!r}", nearest(name, OBJECTIVES))
    accepted = inspect.signature(OBJECTIVES[name]).parameters
    for key in options:
        if key not in accepted or key in setting:
            raise UserError(
                f"objective.{key}", f"{name} has no such option", nearest(key, set(accepted) - set(setting))
            )
    try:
        return OBJECTIVES[name](**{k: v for k, v in setting.items() if k in accepted}, **options)
    except (TypeError, ValueError) as error:
        raise UserError("objective", f"{name}: {error}") from error


__all__ = [
    "OBJECTIVES",
    "Adaptive",
    "Adversarial",
    "AgainstAttack",
    "Amat",
    "Awp",
    "Clean",
    "Constant",
    "Dpaat",
    "EpsilonRule",
    "Fast",
    "Free",
    "GradientRegularized",
    "LocallyLinear",
    "Loss",
    "Mart",
    "Mirst",
    "Outcome",
    "Rst",
    "TrainingObjective",
    "Trades",
    "WarmUp",
    "make_objective",
]
