"""Training objectives by their names. Adding one is a file and a line in OBJECTIVES."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..errors import UserError, nearest
from .adversarial import Adversarial
from .amat import Amat
from .awp import Awp
from .base import TrainingObjective
from .clean import Clean
from .dpaat import Dpaat
from .fast import Fast, Free
from .mirst import Mirst, Rst
from .regularized import GradientRegularized, LocallyLinear
from .semi import SemiRst
from .simclr import SimClr
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
    "semi_rst": SemiRst,
    "simclr": SimClr,
    "trades": Trades,
}


def make_objective(name: str, options: Mapping[str, Any], **setting: Any) -> TrainingObjective:
    """An objective by name, with the user's options and what the run knows (threat, attack, num_images, seed ...).

    Of the setting, an objective takes what it has a parameter for. The option awp ({gamma: 0.005, warm_up: 0}, true, or
    gamma alone) puts Awp around any of them.

    Errors: UserError for an unknown name or option, or a value that the objective refuses.

    Example:
        >>> from medrobust.threat import Threat
        >>> make_objective("adversarial", {"clean_weight": 0.5}, threat=Threat(epsilon=0.1), seed=3).clean_weight
        0.5
    """
    if name not in OBJECTIVES:
        raise UserError("objective.name", f"unknown objective {name!r}", nearest(name, OBJECTIVES))
    options = dict(options)
    around = _awp_options(options.pop("awp", None))
    accepted = inspect.signature(OBJECTIVES[name]).parameters
    for key in options:
        if key not in accepted or key in setting:
            valid = {*accepted, "awp"} - set(setting)
            raise UserError(f"objective.{key}", f"{name} has no such option", nearest(key, valid))
    try:
        made = OBJECTIVES[name](**{k: v for k, v in setting.items() if k in accepted}, **options)
    except (TypeError, ValueError) as error:
        raise UserError("objective", f"{name}: {error}") from error
    if around is None:
        return made
    try:
        return Awp(made, **around)
    except (TypeError, ValueError) as error:
        raise UserError("objective.awp", f"{name}: {error}") from error


def _awp_options(given: Any) -> dict[str, Any] | None:
    """What objective.awp says: true, gamma alone, or a mapping. Errors: UserError."""
    if given is None or given is False:
        return None
    if given is True:
        return {}
    if not isinstance(given, Mapping):
        given = {"gamma": given}
    for key in given:
        if key not in ("gamma", "warm_up"):
            raise UserError(f"objective.awp.{key}", "awp has no such option", nearest(str(key), ("gamma", "warm_up")))
    return dict(given)
