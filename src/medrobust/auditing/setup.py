"""From a recipe to a model, images and a plan of an audit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..data.images.image_set import ImageSet
from ..measuring.outcome import Grid
from ..measuring.plan import Plan
from ..models.classifier import Classifier
from ..models.memory import fitting_batch
from ..progress import Report
from ..recipes.audit import AuditRecipe
from ..resolve import card_of, in_color_of, load_classifier, make_attacks, make_view, open_data, pick_device


@dataclass(frozen=True)
class Setup:
    """A recipe and what it names.

    Args:
        recipe: of the audit.
        model: the classifier.
        images: to attack.
        plan: attacks, budgets, protocol.
        card: of the model, when it is a checkpoint of ours; else empty.
    """

    recipe: AuditRecipe
    model: Classifier
    images: ImageSet
    plan: Plan
    card: Mapping[str, Any]


def resolve(recipe: AuditRecipe, report: Report | None = None) -> Setup:
    """Load the model, open and check every image, build every attack. Nothing is written.

    Errors: UserError for whichever of these does not work.
    """
    attacks = make_attacks(recipe.attacks)
    card = card_of(recipe.model)
    named = recipe.model.classes or recipe.data.classes
    data = dataclasses.replace(recipe.data, classes=named)
    # The test split of a model of ours is the one that its training left out.
    images = open_data(data, make_view(data, card), card=card, report=report)
    model = load_classifier(recipe.model, images, card)
    images = in_color_of(model, data, images, card)
    device = pick_device(recipe.device)
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
    )
    return Setup(recipe, model, images, plan, card)
