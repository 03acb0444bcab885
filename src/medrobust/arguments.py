"""What people hand to the functions of `import medrobust`, in the form that everything below takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import nn

from .attacks.base import Attack
from .attacks.build import build_attack, title_of
from .attacks.registry import ATTACKS
from .attacks.sets import SETS, choose
from .data.images.image_set import ImageSet
from .errors import UserError, nearest
from .measuring.outcome import Grid
from .measuring.plan import Plan
from .models.classifier import Classifier
from .models.memory import fitting_batch
from .models.wrap import as_classifier, device_of
from .numbers import DEFAULT_EPSILONS, FAMILIES, parse_budgets
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


class Named(NamedTuple):
    """Title -> attack, the norms of those that do not run in all, and the sets that they came from."""

    attacks: dict[str, Attack]
    norms: dict[str, tuple[str, ...]]
    sets: tuple[str, ...]


def titled(given: Attacks, norms: Iterable[str]) -> Named:
    """The attacks of a choice, sets resolved for these norms.

    Errors: UserError for an unknown name, or two attacks of the same title.
    """
    made: dict[str, Attack] = {}
    asked: dict[str, Mapping[str, Any]] = {}
    if isinstance(given, Mapping):
        pairs = [(str(title), value) for title, value in given.items()]
    else:
        listed = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
        pairs = [
            (one if isinstance(one, str) else title_of(one) or f"attack_{number}", one)
            for number, one in enumerate(listed, start=1)
        ]
    for title, value in pairs:
        if title in asked:
            raise UserError("attacks", f"two are called {title!r}", "give a mapping from titles to attacks")
        asked[title] = {}
        if title not in SETS or value not in (title, {}):
            asked[title] = {"name": "of this title"}
            made[title] = _attack(title, value)
    chosen = choose(asked, norms)
    attacks = {
        title: made[title] if title in made else build_attack(title, own) for title, own in chosen.attacks.items()
    }
    return Named(attacks, chosen.norms, chosen.sets)


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
    attacks: Attacks,
    budgets: Mapping[str, Budgets],
    device: str | None,
    *,
    batch_size: int | None,
    mask: str = "",
    **settings: Any,
) -> Plan:
    wanted = {norm: given for norm, given in budgets.items() if given is not None} or {"linf": DEFAULT_EPSILONS["linf"]}
    for norm in wanted:
        if norm not in DEFAULT_EPSILONS:
            raise UserError("families", f"unknown family {norm!r}", nearest(norm, FAMILIES))
    grids = tuple(
        Grid(norm, tuple(parse_budgets(given, norm, norm, model.domain)), model.domain)
        for norm, given in wanted.items()
    )
    where = str(device_of(model)) if device is None else pick_device(device)
    if batch_size is None:
        batch_size = fitting_batch(model.to(where), images[0][0][None].to(where))
    named = titled(attacks, wanted)
    if mask:
        for i in range(len(images)):
            images.mask(i)
    return Plan(
        named.attacks,
        grids,
        batch_size=batch_size,
        device=where,
        norms=named.norms,
        sets=named.sets,
        mask=mask,
        **settings,
    )
