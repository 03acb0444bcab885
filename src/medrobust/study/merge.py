"""Writing options over options, and places of a grid."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping
from itertools import product
from typing import Any

from ..errors import UserError, nearest
from ..recipes.parts import Options
from ..recipes.study import PartSpec, ProfileSpec, RuleSpec, StudyRecipe

VARIABLE = re.compile(r"\$\{(\w+)\}")


def expand(options: Mapping[str, Any]) -> Options:
    """Dotted keys written out as sections.

    Example:
        >>> expand({"data.name": "phantom", "data": {"limit": 3}})
        {'data': {'name': 'phantom', 'limit': 3}}
    """
    found: Options = {}
    for key, value in options.items():
        value = expand(value) if isinstance(value, Mapping) else value
        for part in reversed(str(key).split(".")):
            value = {part: value}
        found = merge(found, value)
    return found


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Options:
    """The options of both, section by section; where both say something, what `over` says.

    A name that stands for a section, as in `model: zoo:cbr_tiny`, replaces the section.

    Example:
        >>> merge({"data": {"name": "phantom", "limit": 3}}, {"data": {"limit": 5}})
        {'data': {'name': 'phantom', 'limit': 5}}
    """
    found = dict(base)
    for key, value in over.items():
        old = found.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        found[key] = merge(old, value) if both else copy.deepcopy(value)  # type: ignore[arg-type]
    return found


def with_variables(value: Any) -> Any:
    """Text with ${NAME} replaced by the variables of the environment; one that is not set stays as it is written."""
    if isinstance(value, Mapping):
        return {key: with_variables(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [with_variables(inner) for inner in value]
    if not isinstance(value, str):
        return value

    return VARIABLE.sub(lambda match: os.environ.get(match[1], match[0]), value)


def matches(where: Mapping[str, Any], axes: Mapping[str, str]) -> bool:
    """Whether a place has these values; a list of values is any of them.

    Example:
        >>> matches({"data": ["ct", "mri"]}, {"data": "ct", "split": "0"})
        True
    """
    for axis, wanted in where.items():
        values = wanted if isinstance(wanted, (list, tuple)) else [wanted]
        if axes.get(axis) not in {str(value) for value in values}:
            return False
    return True


def at_profile(recipe: StudyRecipe, name: str) -> StudyRecipe:
    """The study at the size of a profile: its axes cut to what is kept, and everything that it writes over.

    Errors: UserError for an unknown profile, axis or value.
    """
    if name not in recipe.profiles:
        if name == "paper":
            return recipe
        raise UserError("profile", f"unknown profile {name!r}", nearest(name, [*recipe.profiles, "paper"]))
    profile = recipe.profiles[name]
    axes = {axis: dict(values) for axis, values in recipe.axes.items()}
    for axis, values in profile.axes.items():
        _known(f"profiles.{name}.axes", axis, axes)
        for value, part in values.items():
            axes[axis][value] = _over(axes[axis].get(value, PartSpec()), part)
    for axis, kept in profile.keep.items():
        _known(f"profiles.{name}.keep", axis, axes)
        for value in kept:
            _known(f"profiles.{name}.keep.{axis}", str(value), axes[axis])
        axes[axis] = {str(value): axes[axis][str(value)] for value in kept}
    return StudyRecipe(
        study=recipe.study,
        title=recipe.title,
        paper=recipe.paper,
        train=merge(expand(recipe.train), expand(profile.train)),
        audit=merge(expand(recipe.audit), expand(profile.audit)),
        axes=axes,
        rules=(*recipe.rules, *profile.rules),
        cannot=recipe.cannot,
        protocols=_protocols(recipe, profile),
        conditions={**recipe.conditions, **profile.conditions},
        hypotheses=_asked(recipe, profile, name),
        figures=recipe.figures,
        skip=(*recipe.skip, *profile.skip),
        networks=recipe.networks,
        checks=profile.checks or recipe.checks,
    )


def _protocols(recipe: StudyRecipe, profile: ProfileSpec) -> dict[str, PartSpec]:
    found = dict(recipe.protocols)
    for name, part in profile.protocols.items():
        found[name] = _over(found.get(name, PartSpec()), part)
    return found


def _asked(recipe: StudyRecipe, profile: ProfileSpec, name: str) -> tuple[Options, ...]:
    if profile.hypotheses is None:
        return recipe.hypotheses
    known = {str(one.get("name")): one for one in recipe.hypotheses}
    for asked in profile.hypotheses:
        _known(f"profiles.{name}.hypotheses", asked, known)
    return tuple(known[asked] for asked in profile.hypotheses)


def _over(first: PartSpec, second: PartSpec) -> PartSpec:
    return PartSpec(
        train=merge(expand(first.train), expand(second.train)),
        audit=merge(expand(first.audit), expand(second.audit)),
        init=second.init or first.init,
    )


def _known(place: str, name: str, valid: Any) -> None:
    if name not in valid:
        raise UserError(place, f"{name!r} is not one of them", nearest(name, list(valid)))


def places(recipe: StudyRecipe) -> list[dict[str, str]]:
    """The places of the grid, axis -> value, the last axis changing first, without those that are left out."""
    found = [dict(zip(recipe.axes, values, strict=True)) for values in product(*recipe.axes.values())]
    return [axes for axes in found if not any(matches(where, axes) for where in recipe.skip)]


def options_at(recipe: StudyRecipe, axes: Mapping[str, str], protocol: str) -> tuple[Options, Options, dict[str, str]]:
    """The options of the training and of the audit of a place, and the place whose weights training starts from.

    The last is empty where training starts from nothing.
    """
    train, audit, start = expand(recipe.train), expand(recipe.audit), dict[str, str]()
    for axis, value in axes.items():
        part = recipe.axes[axis][value]
        train, audit = merge(train, expand(part.train)), merge(audit, expand(part.audit))
        start |= {key: str(other) for key, other in part.init.items()}
    own = recipe.protocols[protocol]
    train, audit = merge(train, expand(own.train)), merge(audit, expand(own.audit))
    for rule in recipe.rules:
        if _holds(rule, axes, protocol):
            train, audit = merge(train, expand(rule.train)), merge(audit, expand(rule.audit))
    return train, audit, start


def _holds(rule: RuleSpec, axes: Mapping[str, str], protocol: str) -> bool:
    return matches(rule.where, {**axes, "protocol": protocol})
