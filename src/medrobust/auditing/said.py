"""What was read of model and data, and which source of it won: for audit.json and the report."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from ..data.images.image_set import ImageSet
from ..models.classifier import Classifier
from ..models.inputs import number_type
from ..models.programs import ChannelsAtTheEnd
from ..recipes.audit import AuditRecipe
from ..resolve import Card

OF_NOTES = (("transform_input=", "transform_input"), ("outputs in the order", "class order"))
LOST = ", not the card's "


@dataclasses.dataclass(frozen=True)
class Said:
    """One fact.

    Args:
        fact: its name.
        value: what it is.
        source: where that comes from.
        other: what another source says of it, which lost; "" where nothing disagrees.
    """

    fact: str
    value: str
    source: str
    other: str = ""


def said(recipe: AuditRecipe, card: Card, model: Classifier, images: ImageSet) -> tuple[Said, ...]:
    """The facts of which there may be two sources, each with the one that won."""
    return (*_of_model(recipe, card, model, images), *_of_images(recipe, card, images))


def _of_model(recipe: AuditRecipe, card: Card, model: Classifier, images: ImageSet) -> Iterator[Said]:
    own = model.output_classes
    by = "the card" if card else "model.classes" if recipe.model.classes else "the names of the data"
    turned = "" if own == model.classes else f"; given in the order {', '.join(images.classes)} of the data"
    yield Said("outputs", f"{', '.join(own)}{turned}", by)
    head_from = "model.head" if recipe.model.head != "auto" else "the card" if card else "what the network returns"
    yield Said("head", model.head.replace("_", " "), head_from)
    lost = next((note.partition(LOST)[2].strip("()") for note in model.notes if LOST in note), "")
    values = f"mean {_numbers(model.mean.tolist())}, std {_numbers(model.std.tolist())}"
    source = "model.mean, model.std" if model.normalization_from == "given" else model.normalization_from
    yield Said("normalization", values if model.normalizes else "none", source, lost and f"the card: {lost}")
    is_file = recipe.model.name.endswith((".onnx", ".pt2"))
    at_end = any(isinstance(part, ChannelsAtTheEnd) for part in model.network.modules())
    layout_from = "model.layout" if recipe.model.layout != "auto" else "the file" if is_file else "usual"
    yield Said("layout", "nhwc" if at_end else "nchw", layout_from)
    dtype = number_type(model.network)
    if dtype is not None:
        yield Said("numbers", str(dtype).removeprefix("torch."), "the weights")
    for note in model.notes:
        if LOST not in note:
            fact = next((name for start, name in OF_NOTES if note.startswith(start)), "weights")
            yield Said(fact, note.removeprefix(f"{fact}="), "the weights" if fact != "class order" else "the card")


def _of_images(recipe: AuditRecipe, card: Card, images: ImageSet) -> Iterator[Said]:
    data, trained = recipe.data, card.get("view") or {}
    found = ", ".join(sorted({sample.split for sample in images.samples} - {""})) or "none named"
    left = " without the images of the model's training" if card else ""
    yield Said("split", found, f"data.split={data.split}{left if data.split == 'auto' else ''}")
    for name in ("image_size", "color", "fit", "window", "scale"):
        value, given = getattr(images.view, name), getattr(data, name)
        origin = f"data.{name}" if given is not None else "the card" if trained.get(name) is not None else "usual"
        if value is not None:
            shown = _numbers(value) if isinstance(value, tuple) else str(value)
            other = trained.get(name)
            disagrees = given is not None and other is not None and _plain(other) != _plain(value)
            yield Said(name.replace("_", " "), shown, origin, f"the card: {other}" if disagrees else "")
    if images.extremes is not None:
        same = list(images.extremes) == list(trained.get("extremes") or ())
        yield Said("black and white", _numbers(images.extremes), "the model's training" if same else "these images")
    units = sorted({images.source(i).unit for i in range(min(len(images), 16))})
    yield Said("intensity", ", ".join(units), "the files")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _numbers(values: Any) -> str:
    short = [f"{value:.4g}" for value in values]
    return short[0] if len(set(short)) == 1 else " ".join(short)
