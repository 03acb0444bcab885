"""An attack from its name and parameters, as a recipe gives them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import nn

from ..engine.keep import KEEPS
from ..errors import UserError, nearest
from ..goals import GOALS, GoalRule, OrWrong, Targeted
from ..losses import LOSSES
from ..models.classifier import Classifier
from ..models.digest import state_digest, weights_digest
from ..numbers import parse_number
from .base import Attack
from .combine import Scouted, restarts
from .registry import ATTACKS
from .sets import SETS

_TOLD = (bool, int, float, str, list, tuple, nn.Module)  # attributes of an object that its description tells
NAMED: dict[str, Mapping[str, Any]] = {"goal": GOALS, "loss": LOSSES, "keep": KEEPS}


def build_attack(name: str, parameters: Mapping[str, Any] | None = None, place: str = "attacks") -> Attack:
    """The attack `name` with these parameters.

    The parameter `restarts: n` repeats any attack; the parameter `name: pgd` makes `name` a title of one's own for pgd;
    `scout: smallest` lets an attack for the smallest change go before it (`Scouted`).

    Errors: UserError naming the place for an unknown attack or parameter, or a value that it cannot take.

    Example:
        >>> build_attack("pgd", {"num_steps": 7, "goal": "least_likely"}).num_steps
        7
        >>> build_attack("pgd", {"num_step": 7})
        Traceback (most recent call last):
        medrobust.errors.UserError: attacks.pgd.num_step: unknown parameter. Did you mean 'num_steps'?
    """
    given = dict(parameters or {})
    kind = str(given.pop("name", name))
    num_restarts, scout = given.pop("restarts", 1), given.pop("scout", None)
    if kind not in ATTACKS:
        raise UserError(f"{place}.{name}", f"unknown attack {kind!r}", nearest(kind, [*ATTACKS, *SETS]))
    known = inspect.signature(ATTACKS[kind]).parameters
    for key, value in given.items():
        where = f"{place}.{name}.{key}"
        if key not in known:
            raise UserError(where, "unknown parameter", nearest(key, [*known, "restarts", "scout"]))
        given[key] = _value(key, value, known[key].default, where)
    try:
        attack = ATTACKS[kind](**given)
        if num_restarts != 1:
            attack = restarts(attack, _integer(num_restarts, f"{place}.{name}.restarts"))
    except (TypeError, ValueError) as error:
        raise UserError(f"{place}.{name}", str(error)) from error
    return attack if scout is None else Scouted(attack, _scout(scout, f"{place}.{name}"))


def _scout(given: Any, place: str) -> Attack:
    parameters = {"name": given} if isinstance(given, str) else given
    if not isinstance(parameters, Mapping):
        raise UserError(f"{place}.scout", f"{given!r} is neither the name of an attack nor its parameters")
    scout = build_attack("scout", parameters, place)
    if scout.abilities.kind != "minimal":
        fix = "for example smallest"
        raise UserError(f"{place}.scout", "an attack that goes before others looks for the smallest change", fix)
    return scout


def _value(key: str, value: Any, default: Any, where: str) -> Any:
    if key == "goal":
        return goal_rule(value, where)
    if key in NAMED:
        if value not in NAMED[key]:
            raise UserError(where, f"unknown {key} {value!r}", nearest(str(value), NAMED[key]))
        return NAMED[key][value]
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise UserError(where, f"{value!r} is neither true nor false")
        return value
    if isinstance(default, int):
        return _integer(value, where)
    if isinstance(value, str) and (default is None or isinstance(default, float)):
        return parse_number(value, where)
    return value


def _integer(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(where, f"{value!r} is not a whole number")
    return value


def describe(part: Any) -> Any:
    """An attack and its parts as plain data, for a report: names and numbers, never addresses.

    Two attacks that differ must not look alike, for a run goes on where its description is the same: a network is named
    by its weights, and an object that is no dataclass by its public attributes.

    Example:
        >>> describe(build_attack("fgsm"))["loss"]
        'cross_entropy'
    """
    if part is None or isinstance(part, (bool, int, float, str)):
        return part
    if isinstance(part, (list, tuple)):
        return [describe(item) for item in part]
    kind = type(part).__name__
    if is_dataclass(part) and not isinstance(part, type):
        return {"kind": kind, **{field.name: describe(getattr(part, field.name)) for field in fields(part)}}
    if isinstance(part, Classifier):
        return {"kind": kind, "weights": weights_digest(part)[:16]}
    if isinstance(part, nn.Module):
        return {"kind": kind, "weights": state_digest(part.state_dict(), repr(part))[:16]}
    if hasattr(part, "__name__"):
        return part.__name__
    known = {key: value for key, value in getattr(part, "__dict__", {}).items() if not key.startswith("_")}
    return {"kind": kind, **{key: describe(value) for key, value in known.items() if isinstance(value, _TOLD)}}


def goal_rule(value: Any, where: str) -> GoalRule:
    """A goal by name; `targeted:2` is class 2 for every image."""
    name, _, label = str(value).partition(":")
    if name == "targeted" and label.isdigit():
        return Targeted(int(label))
    if value not in GOALS:
        raise UserError(where, f"unknown goal {value!r}", nearest(str(value), [*GOALS, "targeted:CLASS"]))
    return GOALS[str(value)]


def goal_name(rule: GoalRule) -> str:
    """The name of a goal as recipes write it; the name of its class where it has none.

    Example:
        >>> goal_name(Targeted(2)), goal_name(GOALS["least_likely"])
        ('targeted:2', 'least_likely')
    """
    if isinstance(rule, OrWrong):
        return goal_name(rule.rule)
    if isinstance(rule, Targeted):
        return f"targeted:{rule.label}"
    known = next((name for name, one in GOALS.items() if one == rule), "")
    return known or str(getattr(rule, "__name__", type(rule).__name__))


def title_of(attack: Attack) -> str:
    """The name of ATTACKS that gives this attack without parameters; "" where none does.

    Example:
        >>> from medrobust.attacks import pgd
        >>> title_of(pgd()), title_of(pgd(num_steps=3))
        ('pgd', '')
    """
    return next((name for name, build in ATTACKS.items() if build() == attack), "")
