"""What people hand to the functions of `import medrobust`, in the form that everything below takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from .attacks.base import Attack
from .attacks.build import build_attack, title_of
from .attacks.registry import ATTACKS
from .data.images.image_set import ImageSet
from .errors import UserError
from .measuring.outcome import Grid
from .measuring.plan import Plan
from .models.classifier import Classifier
from .models.memory import fitting_batch
from .models.wrap import as_classifier, device_of
from .numbers import DEFAULT_EPSILONS, parse_budgets
from .resolve import pick_device

Attacks = str | Attack | Sequence[str | Attack] | Mapping[str, str | Attack | Mapping[str, Any]]
Budgets = float | str | Sequence[float | str] | None


def subject(model: nn.Module, images: Any) -> tuple[Classifier, ImageSet]:
    """The classifier and the images, each in the form that everything below takes."""
    image_set = ImageSet.of(images)
    return as_classifier(model, image_set.batch(range(min(2, len(image_set)))).x, image_set.classes), image_set


def name(model: Classifier) -> str:
    """What a report calls a classifier."""
    return model.spec or f"python:{type(model.network).__name__}"


def titled(given: Attacks) -> dict[str, Attack]:
    """Title -> attack. Errors: UserError for an unknown name, or two attacks of the same title."""
    if isinstance(given, Mapping):
        return {str(title): _attack(str(title), value) for title, value in given.items()}
    listed = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    found: dict[str, Attack] = {}
    for number, one in enumerate(listed, start=1):
        title = one if isinstance(one, str) else title_of(one) or f"attack_{number}"
        if title in found:
            raise UserError("attacks", f"two are called {title!r}", "give a mapping from titles to attacks")
        found[title] = _attack(title, one)
    return found


def _attack(title: str, given: Any) -> Attack:
    if isinstance(given, str):
        return build_attack(title, {"name": given})
    if isinstance(given, Mapping):
        return build_attack(title, given)
    if not callable(given) or not hasattr(given, "abilities"):
        reason = f"a {type(given).__name__} says no abilities"
        fix = "see medrobust.attacks.Attack for what an attack is"
        if given in ATTACKS.values():
            reason, fix = f"{given.__name__} is a function that makes an attack", f"write {given.__name__}()"
        raise UserError(f"attacks.{title}", reason, fix)
    attack: Attack = given
    return attack


def plan_of(
    model: Classifier,
    images: ImageSet,
    attacks: dict[str, Attack],
    budgets: Mapping[str, Budgets],
    device: str | None,
    *,
    batch_size: int | None,
    **settings: Any,
) -> Plan:
    wanted = {norm: given for norm, given in budgets.items() if given is not None} or {"linf": DEFAULT_EPSILONS["linf"]}
    grids = tuple(
        Grid(norm, tuple(parse_budgets(given, norm, norm, model.domain)), model.domain)
        for norm, given in wanted.items()
    )
    where = str(device_of(model)) if device is None else pick_device(device)
    if batch_size is None:
        batch_size = fitting_batch(model.to(where), images[0][0][None].to(where))
    return Plan(attacks, grids, batch_size=batch_size, device=where, **settings)
