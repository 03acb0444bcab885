"""A set-up that is broken or sound, and what an audit of it says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from medrobust.attacks.base import Attack
from medrobust.attacks.build import build_attack
from medrobust.attacks.sets import choose
from medrobust.auditing.audit import _context
from medrobust.auditing.checks import CHECKS
from medrobust.auditing.context import Check, Context, run_checks
from medrobust.auditing.probed import look, refuse_without_gradient
from medrobust.auditing.setup import Setup
from medrobust.data import ImageSet
from medrobust.errors import UserError
from medrobust.findings import Finding
from medrobust.measuring.measure import measure
from medrobust.measuring.outcome import Grid
from medrobust.measuring.plan import Plan
from medrobust.models.classifier import Classifier
from medrobust.models.wrap import as_classifier

BUDGETS = (0.25 / 255, 1 / 255, 2 / 255, 4 / 255)
REFUSED = "refused"


@dataclass(frozen=True)
class Made:
    """What is audited: a network or a whole set-up, images, attacks, budgets."""

    model: nn.Module | Classifier | Setup
    images: ImageSet | None = None
    attacks: Mapping[str, Attack] | None = None
    epsilons: tuple[float, ...] = BUDGETS
    norm: str = "linf"
    protocol: str = "honest"


@dataclass(frozen=True)
class Case:
    """A set-up.

    Args:
        name: unique.
        words: what is wrong with it; of a sound one, what it is.
        make: builds it.
        caught: ids of the checks that must fail or warn, each of them; or REFUSED. Empty for a sound one.
        known: ids of checks of the attacks that warn of a sound one, rightly; words say why.
    """

    name: str
    words: str
    make: Callable[[], Made]
    caught: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


def standard(norm: str) -> dict[str, Attack]:
    """The attacks of the default."""
    return {title: build_attack(title, given) for title, given in choose({"standard": {}}, [norm]).attacks.items()}


def audited(made: Made, checks: Sequence[Check] = tuple(CHECKS)) -> list[Finding]:
    """What the checks say. A set-up that is refused before it is attacked gives one finding, REFUSED."""
    try:
        records, context = _measured(made)
        return run_checks(checks, records, context)
    except UserError as error:
        return [Finding(REFUSED, "fail", "Can this be audited?", str(error))]


def _measured(made: Made) -> tuple[Any, Context]:
    if isinstance(made.model, Setup):
        records, cost = measure(made.model.model, made.model.images, made.model.plan)
        return records, _context(made.model, None, cost)
    assert made.images is not None
    images = made.images
    model = as_classifier(made.model, images.batch(range(4)).x, images.classes)
    attacks = dict(made.attacks or standard(made.norm))
    probed = look(model, images)
    refuse_without_gradient(model, probed, attacks)
    plan = Plan(attacks, (Grid(made.norm, made.epsilons, model.domain),), made.protocol)
    records, cost = measure(model, images, plan)
    return records, dataclasses.replace(Context(model, images, plan, probed=probed), cost=cost)
