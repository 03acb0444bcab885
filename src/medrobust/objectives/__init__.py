"""Training objectives by their names. Adding one is a file and a line in OBJECTIVES."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..errors import UserError, nearest
from .adversarial import Adversarial, AgainstAttack
from .base import Loss, TrainingObjective
from .clean import Clean
from .epsilon import Constant, EpsilonRule, WarmUp

OBJECTIVES: dict[str, type[TrainingObjective]] = {
    "clean": Clean,
    "adversarial": Adversarial,
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
    "Adversarial",
    "AgainstAttack",
    "Clean",
    "Constant",
    "EpsilonRule",
    "Loss",
    "TrainingObjective",
    "WarmUp",
    "make_objective",
]
