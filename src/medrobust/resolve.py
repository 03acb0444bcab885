"""From the words of a recipe to objects: device, images, classifier, attacks, threat. Nothing is written here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from .attacks.base import Attack
from .attacks.build import build_attack
from .data.choose.classes import exact_names
from .data.choose.entries import read_entry
from .data.choose.trained import Trained, read_trained
from .data.images.image_set import ImageSet
from .data.images.view import View
from .data.open import open_images
from .data.sets.folder import require_folder, visible_files
from .data.sets.mask_files import MaskFiles
from .errors import UserError
from .models.checkpoint import find_checkpoint, read_card
from .models.classifier import Classifier
from .models.create import new_classifier
from .models.load import load_model
from .norms import NORMS
from .numbers import FAMILIES
from .progress import Report
from .recipes.parts import AttackSpec, DataSpec, ModelSpec, Options, ThreatSpec
from .threat import Threat

BUNDLED = Path(__file__).resolve().parent / "default"
Card = Mapping[str, Any]


def pick_device(name: str, num: int = 1) -> str:
    """The device of this name; auto is the graphics card where there is one, else the processor.

    Errors: UserError for a device that is not there, or for more graphics cards than there are.

    Example:
        >>> pick_device("cpu")
        'cpu'
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UserError("device", f"{name!r} is not available here", "use cpu or auto") from error
    if name.startswith("cuda") and num > torch.cuda.device_count():
        raise UserError("devices", f"{num} are wanted, {torch.cuda.device_count()} are here")
    return name


def make_attack(spec: AttackSpec, place: str) -> Attack:
    """The attack that spec names. Errors: UserError naming the attack and parameter."""
    return build_attack(spec.name, spec.options, place)


def make_attacks(attacks: Mapping[str, Options]) -> dict[str, Attack]:
    """Title -> attack. Errors: UserError naming the attack and parameter."""
    return {title: build_attack(title, parameters) for title, parameters in attacks.items()}


def make_threat(spec: ThreatSpec) -> Threat:
    """The one budget of a training. Errors: UserError for several norms, a family, or a value that is no budget."""
    if spec.norms[0] in FAMILIES:
        raise UserError("threat.norm", f"{spec.norms[0]} is a family of corruptions", "training takes linf, l2 or l1")
    return Threat(epsilon=spec.budget, norm=NORMS[spec.norms[0]])


def card_of(spec: ModelSpec) -> Card:
    """What a checkpoint of ours says of itself; empty for models of others."""
    found = find_checkpoint(_folder(spec))
    return read_card(found) if found else {}


def table_of(spec: ModelSpec) -> Trained | None:
    """Which images a checkpoint of ours was trained on; None where nothing says so."""
    found = find_checkpoint(_folder(spec))
    return read_trained(found) if found else None


def _folder(spec: ModelSpec) -> Path:
    return BUNDLED if spec.name == "default" else Path(spec.name)


def make_view(spec: DataSpec, card: Card, color: str = "rgb") -> View:
    """How images are shown: as the recipe says, else as the model's training had it, else whole and in this color."""
    known = card.get("view") or {}
    if card:
        color = "grey" if card.get("channels") == 1 else "rgb"
    window = spec.window or known.get("window")
    return View(
        spec.image_size or known.get("image_size") or card.get("input_size"),
        spec.color or color,  # type: ignore[arg-type]
        spec.fit or known.get("fit") or "resize",
        tuple(window) if window else None,
        spec.scale or known.get("scale") or "source",
    )


def open_data(
    spec: DataSpec,
    view: View,
    *,
    split: str | None = None,
    card: Card | None = None,
    table: Trained | None = None,
    report: Report | None = None,
) -> ImageSet:
    """The images; for a model of ours they are split as its training split them, unless the recipe says otherwise.

    Args:
        spec: the data of a recipe.
        view: how the images are shown.
        split: in place of the one that the recipe names.
        card: of the model that will see the images.
        table: which images that model was trained on; the split auto has none of them.
        report: told of the progress of decoding.
    """
    known = card or {}
    trained = (known.get("recipe") or {}).get("data") or {}
    alike = str(trained.get("name", "")).partition(":")[0] == spec.name.partition(":")[0]
    splits = spec.splits
    if splits == "auto" and alike:
        splits = trained.get("splits") or "auto"

    def opened(classes: Sequence[str] | None) -> ImageSet:
        images = open_images(
            spec.name,
            view=view,
            split=split or spec.split,
            limit=spec.limit,
            seed=int(trained.get("seed") or 0) if spec.seed is None else spec.seed,
            skip_broken=spec.skip_broken,
            classes=classes,
            splits=splits,
            cap=spec.cap,
            balance=spec.balance,
            extremes=extremes_of(view, known),
            trained=table,
            same_set=same_set(spec.name, str(trained.get("name", ""))),
            progress=decoding(report),
            options=spec.options or (trained.get("options") if alike else None),
        )
        if spec.mask is None:
            return images
        root = require_folder(spec.mask, "data.mask")
        return images.replace(masks=MaskFiles.of_folder(root, images.samples, visible_files))

    # What a person wrote may hold rules, in this recipe or in that of the training; the names of a card are only names.
    names = exact_names(known["classes"]) if known.get("classes") else None
    written = tuple(trained.get("classes") or ()) if alike and not spec.classes else ()
    if not written or names is None:
        return opened(spec.classes or names)
    try:
        return opened(written)
    except UserError as error:
        if error.place != "data.classes":
            raise
        return opened(names)  # another set of this kind may have the joined classes as its own


def same_set(one: str, two: str) -> bool:
    """Whether two names of data sets are one set in one place.

    Example:
        >>> same_set("folder:a/../b", "folder:b"), same_set("folder:a", "folder:b"), same_set("", "")
        (True, False, False)
    """
    (kind, _, path), (other, _, place) = one.partition(":"), two.partition(":")
    if not kind or kind != other:
        return False
    return path == place or (
        bool(path and place) and Path(path).expanduser().resolve() == Path(place).expanduser().resolve()
    )


def extremes_of(view: View, card: Card) -> tuple[float, float] | None:
    """The pixels that the model's training stretched by, where the images are shown as they were there."""
    shown = card.get("view") or {}
    found = shown.get("extremes")
    window = tuple(shown["window"]) if shown.get("window") else None
    return (found[0], found[1]) if found and (view.scale, view.window) == (shown.get("scale"), window) else None


def decoding(report: Report | None) -> Callable[[int, int], None] | None:
    """The progress of decoding, as a report takes it."""
    return (lambda done, of: report("decoding", done, of)) if report else None


def load_classifier(spec: ModelSpec, images: ImageSet, card: Card) -> Classifier:
    """The trained classifier that spec names, for these images, with its outputs in the order of their classes.

    Errors: UserError, as load_model, and when model.classes and the data name different classes.
    """
    shape = images[0][0].shape
    # What a person says of the outputs holds for a network of others; ours know their own by name.
    written = spec.classes if spec.classes and not card else exact_names(images.classes)
    entries = [read_entry(text, images.classes) for text in written]
    named = tuple(entry.name for entry in entries if not entry.dropped)
    if sorted(named) != sorted(images.classes):
        reason = f"the outputs are {', '.join(named)}, the classes of the data {', '.join(images.classes)}"
        raise UserError("model.classes", reason, "name the same classes in both")
    model = load_model(
        str(_folder(spec)) if spec.name == "default" else spec.name,
        weights=spec.weights,
        classes=named,
        # Named networks know their channels from their weights; others take what the images have.
        channels=None if card or spec.weights else shape[0],
        image_size=tuple(shape[1:]),
        mean=spec.mean,
        std=spec.std,
        head=spec.head,
        layout=spec.layout,
    )
    return model.in_order(images.classes) if model.classes != images.classes else model


def create_classifier(spec: ModelSpec, images: ImageSet, seed: int) -> Classifier:
    """The classifier before its first step of training on these images."""
    x = images[0][0]
    return new_classifier(
        spec.name,
        classes=images.classes,
        data_channels=x.shape[0],
        channels=spec.channels,
        image_size=x.shape[-1],
        mean=spec.mean,
        std=spec.std,
        init=spec.init,
        pretrained=spec.pretrained,
        seed=seed,
    )


def in_color_of(model: Classifier, spec: DataSpec, images: ImageSet, card: Card) -> ImageSet:
    """The images in grey where the recipe leaves the color open and the network takes one channel."""
    if spec.color is None and not card and model.channels == 1 and images[0][0].shape[0] == 3:
        return images.replace(view=dataclasses.replace(images.view, color="grey"))
    return images
