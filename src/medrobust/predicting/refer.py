"""Choosing the rule of a model on its own validation images, and saving it beside the card."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..data.images.image_set import ImageSet
from ..errors import UserError
from ..measuring.clean import clean_pass
from ..models.checkpoint import find_checkpoint
from ..models.digest import weights_digest
from ..models.memory import fitting_batch
from ..progress import Report
from ..recipes.audit import AuditRecipe
from ..records.referral import Answers
from ..resolve import card_of, load_classifier, make_view, open_data, pick_device, table_of
from .rule import Rule, choose, operating_point, write_rule
from .scores import ATTACK, SCORES, Shown, probabilities, score

YOUDEN = "youden"


def refer(
    recipe: AuditRecipe,
    by: str,
    wanted: Mapping[str, float],
    operate: str | float | None = None,
    report: Report | None = None,
) -> tuple[Path, Rule]:
    """Choose the rule of a checkpoint of ours on its validation images, and save it with the model.

    Args:
        recipe: its model; data of the set that it was trained on when none is named.
        by: confidence, entropy or smallest_change.
        wanted: {"rate": r}, {"accuracy": a} or {"sensitivity": s}; see choose.
        operate: an operating point of two classes as well: youden, or the wanted sensitivity.
        report: told of the progress.

    Errors: UserError for a model of others, images that cannot be opened, or a wish that no threshold fulfils.
    """
    folder = find_checkpoint(recipe.model.name)
    if folder is None:
        reason = "is no checkpoint folder, so that a rule has no place beside it"
        raise UserError(recipe.model.name, reason, "train with medrobust, or save it with save_checkpoint")
    if by not in SCORES:
        raise UserError("refer", f"unknown score {by!r}", f"valid: {', '.join(SCORES)}")
    images = _validation(recipe, report)
    card = card_of(recipe.model)
    model = load_classifier(recipe.model, images, card)
    device = pick_device(recipe.device)
    batch_size = recipe.batch_size
    if batch_size == "auto":
        batch_size = fitting_batch(model.to(device), images[0][0][None].to(device), None)
    how = Shown(batch_size, device, recipe.num_workers)
    with model.to(device).frozen():
        logits = clean_pass(model, images, how, report)
    attack = {**ATTACK, "seed": recipe.seed} if by == "smallest_change" else None
    values = score(by, model, images, logits, how, attack, report)
    positive = images.positive_index
    predictions, labels = logits.argmax(1).numpy(), images.labels.numpy()
    answers = Answers(labels, predictions, probabilities(logits), 1 if positive is None else positive)
    groups = np.array(images.groups)
    rule = choose(by, values, predictions == labels, answers, groups, wanted)
    point = None
    if operate is not None:
        point = operating_point(answers, groups, None if operate == YOUDEN else float(operate))
        point["positive_class"] = images.classes[answers.positive]
    chosen_on = {
        "name": images.name,
        "split": "val",
        "num_images": len(images),
        "num_groups": len(set(images.groups)),
        "data_sha256": images.fingerprint(),
    }
    rule = dataclasses.replace(
        rule, chosen_on=chosen_on, model_sha256=weights_digest(model), attack=attack, operating_point=point
    )
    return write_rule(folder, rule), rule


def _validation(recipe: AuditRecipe, report: Report | None) -> ImageSet:
    """The images that training chose its epoch on: those that its split table names, else those of the split val.

    Errors: UserError when there are none.
    """
    card, table = card_of(recipe.model), table_of(recipe.model)
    trained = (card.get("recipe") or {}).get("data") or {}
    data = recipe.data
    if data.name == type(data)().name and trained.get("name"):
        data = dataclasses.replace(data, name=str(trained["name"]))
    named = {} if table is None else table.names
    images = open_data(data, make_view(data, card), split="all" if named else "val", card=card, report=report)
    if named:
        images = images.replace(samples=[s for s in images.samples if named.get(s.image_id) == "val"])
    if not len(images):
        raise UserError(
            "data", f"none of the images of {data.name} was in validation", "give the set it was trained on"
        )
    return images
