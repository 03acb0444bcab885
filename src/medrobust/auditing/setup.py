"""From a recipe to a model, images and a plan of an audit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..attacks.sets import choose
from ..corruptions import choose as choose_corruptions
from ..data.choose.trained import Trained
from ..data.images.image_set import ImageSet
from ..measuring.outcome import Grid
from ..measuring.plan import Plan
from ..measuring.subjects import allowed
from ..models.classifier import Classifier
from ..models.memory import fitting_batch
from ..progress import Report
from ..recipes.audit import AuditRecipe
from ..resolve import (
    card_of,
    in_color_of,
    load_classifier,
    make_attacks,
    make_view,
    open_data,
    pick_device,
    same_set,
    table_of,
)
from .operating import prevalences
from .probed import Probed, look, refuse_without_gradient
from .said import Said, said


@dataclass(frozen=True)
class Setup:
    """A recipe and what it names.

    Args:
        recipe: of the audit.
        model: the classifier.
        images: to attack.
        plan: attacks, budgets, protocol.
        card: of the model, when it is a checkpoint of ours; else empty.
        table: which images a checkpoint of ours was trained on, where it says so.
        same_set: the images are of the set that it was trained on.
        probed: what a look at the classifier showed.
        said: what was read of model and data, and from where.
    """

    recipe: AuditRecipe
    model: Classifier
    images: ImageSet
    plan: Plan
    card: Mapping[str, Any]
    table: Trained | None = None
    same_set: bool = False
    probed: Probed | None = None
    said: tuple[Said, ...] = ()


def resolve(recipe: AuditRecipe, report: Report | None = None) -> Setup:
    """Load the model, open and check every image, build every attack. Nothing is written.

    Errors: UserError for whichever of these does not work.
    """
    chosen = choose(recipe.attacks, list(recipe.threat.grids()))
    choose_corruptions(recipe.corruptions)
    attacks = make_attacks(chosen.attacks)
    card = card_of(recipe.model)
    named = recipe.data.classes or recipe.model.classes
    data = dataclasses.replace(recipe.data, classes=named)
    table = table_of(recipe.model)
    # The test split of a model of ours is the one that its training left out.
    images = open_data(data, make_view(data, card), card=card, table=table, report=report)
    prevalences(recipe.data.prevalence, images)
    model = load_classifier(recipe.model, images, card)
    images = in_color_of(model, data, images, card)
    device = pick_device(recipe.device)
    probed = look(model, images, device)
    refuse_without_gradient(model, probed, attacks)
    batch_size = recipe.batch_size
    if batch_size == "auto":
        limit = None if recipe.memory_limit is None else int(recipe.memory_limit * 2**30)
        batch_size = fitting_batch(model.to(device), images[0][0][None].to(device), limit)
    plan = Plan(
        attacks=attacks,
        grids=tuple(Grid(norm, tuple(values)) for norm, values in recipe.threat.grids().items()),
        protocol=recipe.protocol,
        seed=recipe.seed,
        batch_size=batch_size,
        device=device,
        precision=recipe.precision,
        num_workers=recipe.num_workers,
        norms=chosen.norms,
        sets=chosen.sets,
        keep_points=recipe.explain == "on",
        mask=recipe.threat.mask or "",
    )
    allowed(images, [0], plan.mask)  # a set without masks is refused now, an image without one when it is attacked
    trained = (card.get("recipe") or {}).get("data") or {}
    same = same_set(recipe.data.name, str(trained.get("name", "")))
    return Setup(recipe, model, images, plan, card, table, same, probed, said(recipe, card, model, images))
