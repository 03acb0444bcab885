"""What a study must not say: refused before anything is resolved, run or written."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any

import torch

from ..attacks.build import build_attack
from ..attacks.sets import choose
from ..auditing.checks.choices import CHOICES
from ..corruptions import choose as choose_corruptions
from ..errors import UserError, nearest
from ..models.zoo import build_network
from ..recipes.audit import AuditRecipe
from ..recipes.study import StudyRecipe
from ..recipes.train import TrainRecipe
from ..training.build import check as check_training
from .figures import figures
from .hypotheses import judge
from .networks import count_parameters
from .read import NONE, WORST, Study

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
WORDS = ("attack", "norm", "epsilon", "metric", "subset", "minus", "protocol")  # of selections, never axes


def check(recipe: StudyRecipe) -> None:
    """Refuse names that are not there, and axes that are none. Errors: UserError naming the key."""
    if not NAME.fullmatch(recipe.study):
        raise UserError("study", f"{recipe.study!r} is no name", "use letters, digits, dots and hyphens")
    if not recipe.protocols:
        raise UserError("protocols", "none given", "leave it out for honest")
    for name in recipe.protocols:
        if not name.isidentifier():
            raise UserError(f"protocols.{name}", "is not a name")
    for axis, values in recipe.axes.items():
        if axis in WORDS:
            raise UserError(f"axes.{axis}", "is a word of selections and no name for an axis", "choose another")
        if not values:
            raise UserError(f"axes.{axis}", "has no value")
        for value in values:
            _check_name(f"axes.{axis}", value)
    for name, spec in recipe.networks.items():
        _check_name("networks", name)
        for layer in spec.layers:
            _check_name(f"networks.{name}.layers", layer)
        count_parameters(name, spec)
    said = {"checks": recipe.checks} | {f"profiles.{name}.checks": one.checks for name, one in recipe.profiles.items()}
    for place, checks in said.items():
        if checks is not None and checks not in CHOICES:
            raise UserError(place, f"{checks!r} is none of them", f"valid: {', '.join(CHOICES)}")
    for place, where in _selections(recipe):
        _check_selection(recipe, place, where)


def _check_name(place: str, name: str) -> None:
    """Refuse what a selection could not name."""
    if "," in name or "=" in name or not name.split() or len(name.split()) > 1:
        raise UserError(f"{place}.{name}", "is no name", "without spaces, commas and equal signs")


def _selections(recipe: StudyRecipe) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for i, rule in enumerate(recipe.rules):
        yield f"rules.{i}.where", rule.where
    for i, where in enumerate(recipe.skip):
        yield f"skip.{i}", where
    for i, one in enumerate(recipe.cannot):
        yield f"cannot.{i}.where", one.where
    for name, profile in recipe.profiles.items():
        for i, rule in enumerate(profile.rules):
            yield f"profiles.{name}.rules.{i}.where", rule.where
        for i, where in enumerate(profile.skip):
            yield f"profiles.{name}.skip.{i}", where
    for axis, values in recipe.axes.items():
        for value, part in values.items():
            yield f"axes.{axis}.{value}.init", part.init


def _check_selection(recipe: StudyRecipe, place: str, where: Mapping[str, Any]) -> None:
    for axis, wanted in where.items():
        if axis == "protocol":
            valid = list(recipe.protocols)
        elif axis not in recipe.axes:
            fix = nearest(axis, list(recipe.axes)) if recipe.axes else "the study has no axes"
            raise UserError(f"{place}.{axis}", "is not an axis", fix)
        else:
            valid = list(recipe.axes[axis])
        for value in wanted if isinstance(wanted, (list, tuple)) else [wanted]:
            if str(value) not in valid:
                fix = nearest(str(value), valid)
                raise UserError(f"{place}.{axis}", f"{value!r} is not one of its values", fix)


def check_recipes(train: TrainRecipe, audit: AuditRecipe) -> set[str]:
    """Refuse a training or an audit that cannot work, as far as that is seen without data; returns titles of attacks.

    Errors: UserError.
    """
    check_training(train)
    _check_network(train.model.name, train.data.image_size)
    attacks = choose(audit.attacks, list(audit.threat.grids())).attacks
    for title, parameters in attacks.items():
        build_attack(title, parameters)
    choose_corruptions(audit.corruptions)
    return set(attacks)


def check_asked(study: Study, titles: Collection[str]) -> None:
    """Refuse hypotheses and figures that the check could not answer when everything is done.

    Args:
        study: without outcomes.
        titles: of the attacks of all audits as published; empty where there are none.

    Errors: UserError.
    """
    names = [str(one.get("name", "")) for one in study.hypotheses]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"hypotheses.{twice}", "two have this name", "give each its own")
    judge(study)
    figures(study, ())
    for place, attack in _attacks(study):
        if titles and attack not in (*titles, NONE, WORST):
            raise UserError(place, f"no audit as published has an attack {attack!r}", nearest(attack, titles))


def _attacks(study: Study) -> Iterator[tuple[str, str]]:
    """Where a study names an attack, and the title that it means as published."""
    wheres: list[tuple[str, Any]] = []
    for one in study.hypotheses:
        place, others = f"hypotheses.{one['name']}", one.get("than", ())
        wheres += [(f"{place}.{key}", one.get(key, {})) for key in ("where", "better")]
        wheres += [(f"{place}.than", other) for other in (others if isinstance(others, (list, tuple)) else [others])]
    wheres += [(f"figures.{number}.where", one.get("where", {})) for number, one in enumerate(study.figures, 1)]
    for place, where in wheres:
        if "attack" in where:
            label = str(where["attack"])
            yield f"{place}.attack", str(study.conditions.get(label, {}).get("attack", label))


@lru_cache(maxsize=256)
def _check_network(spec: str, image_size: int | None) -> None:
    """A network of this name can be built; made without memory, once."""
    if spec.partition(":")[0] not in ("zoo", "torchvision"):
        return  # what others name is looked at when it is made
    with torch.device("meta"):
        build_network(spec, num_classes=2, image_size=image_size if spec.startswith("zoo:") else None)
