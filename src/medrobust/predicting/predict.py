"""Answers to images without labels: class, probabilities, and whether a person should look."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.images.image_set import ImageSet
from ..data.unlabeled import open_plain
from ..errors import UserError
from ..files import write_atomic
from ..measuring.clean import clean_pass
from ..models.classifier import Classifier
from ..models.digest import weights_digest
from ..models.memory import fitting_batch
from ..progress import Report
from ..recipes.audit import AuditRecipe
from ..resolve import card_of, decoding, extremes_of, in_color_of, load_classifier, make_view, pick_device
from .rule import Rule, read_rule
from .scores import Shown, probabilities, score

SCHEMA = "medrobust.predictions/1"
NO_RULE = "no rule saved"
FORMATS = (".json", ".csv")


@dataclass(frozen=True)
class Predictions:
    """Answers, one row an image.

    Args:
        classes: names, in the order of the probabilities.
        rows: image, answer, probabilities (a mapping), refer (True, False, or None without a rule), score (None where
            it is not finite), and by_operating_point where the rule has one; of a broken file, image and error.
        rule: by which images are referred.
    """

    classes: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    rule: Rule | None = None

    @property
    def num_broken(self) -> int:
        """Files that could not be read."""
        return sum("error" in row for row in self.rows)

    @property
    def table(self) -> list[list[str]]:
        """A head and a line an image, as text."""
        by = "" if self.rule is None else self.rule.score
        point = self.rule is not None and self.rule.operating_point is not None
        head = ["image", "answer", *(f"p({name})" for name in self.classes), "refer", "score", "threshold"]
        lines = [head + ["by_operating_point"] * point + ["error"]]
        for row in self.rows:
            if "error" in row:
                lines.append([row["image"], *[""] * (len(lines[0]) - 2), row["error"]])
                continue
            refer = NO_RULE if row["refer"] is None else "yes" if row["refer"] else "no"
            value = "" if self.rule is None else f"{by} {_text(row['score'])}"
            threshold = "" if self.rule is None else _text(self.rule.threshold)
            line = [row["image"], row["answer"], *(f"{row['probabilities'][name]:.6f}" for name in self.classes)]
            lines.append([*line, refer, value, threshold, *([row["by_operating_point"]] if point else []), ""])
        return lines

    def write(self, path: Path | str) -> None:
        """Write FILE.json or FILE.csv, whole or not at all. Errors: UserError for another ending."""
        path = Path(path)
        check_format(path)
        if path.suffix == ".csv":
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(self.table)
            write_atomic(path, text.getvalue())
            return
        said = None
        if self.rule is not None:
            said = {name: getattr(self.rule, name) for name in ("score", "threshold", "wanted", "chosen_on")}
        content = {"schema": SCHEMA, "classes": list(self.classes), "rule": said, "images": list(self.rows)}
        write_atomic(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def check_format(path: Path) -> None:
    """Errors: UserError for a file that is neither JSON nor CSV by its name."""
    if path.suffix not in FORMATS:
        raise UserError(str(path), "is neither a .json nor a .csv", "give --out FILE.json or --out FILE.csv")


def _text(value: float | None) -> str:
    return "no change found" if value is None else f"{value:.6g}"


def predict_images(recipe: AuditRecipe, images: str, report: Report | None = None) -> Predictions:
    """The answers of the model of a recipe to the images at a place, shown as an audit of that model shows them.

    Args:
        recipe: its model, and the view of its data.
        images: a folder, a file, or csv:FILE with a column image.
        report: told of the progress.

    Errors: UserError for whatever an audit refuses, and when no image can be read.
    """
    model, opened, how = open_both(recipe, images, report)
    return answers(model, opened, how, _rule_of(model), report)


def open_both(
    recipe: AuditRecipe, images: str, report: Report | None = None, *, skip_masks: bool = False
) -> tuple[Classifier, ImageSet, Shown]:
    """The model of a recipe and images without labels, as `predict_images` has them; skip_masks: see open_plain."""
    card = card_of(recipe.model)
    classes = tuple(card.get("order") or card.get("classes") or recipe.model.classes or ())
    if not classes:
        raise UserError("model.classes", "the names of the outputs are not known", "give model.classes=[a, b]")
    view = make_view(recipe.data, card)
    opened = open_plain(
        images,
        classes,
        view=view,
        extremes=extremes_of(view, card),
        skip_masks=skip_masks,
        progress=decoding(report),
    )
    model = load_classifier(recipe.model, opened, card)
    opened = in_color_of(model, recipe.data, opened, card)
    device = pick_device(recipe.device)
    batch_size = recipe.batch_size
    if batch_size == "auto":
        batch_size = fitting_batch(model.to(device), opened[0][0][None].to(device), None)
    return model, opened, Shown(batch_size, device, recipe.num_workers)


def _rule_of(model: Classifier) -> Rule | None:
    """The rule saved with a model. Errors: UserError when it was chosen for other weights."""
    rule = read_rule(model.folder) if model.folder else None
    if rule is not None and rule.model_sha256 and rule.model_sha256 != weights_digest(model):
        reason = "was chosen for other weights or another normalization than these"
        raise UserError(f"{model.folder}/referral.json", reason, "choose it again with medrobust refer")
    return rule


def answers(
    model: Classifier, images: ImageSet, how: Shown, rule: Rule | None = None, report: Report | None = None
) -> Predictions:
    """The answers of a classifier to images; their labels are not looked at.

    Errors: UserError as clean_pass.
    """
    model.to(how.device)
    with model.frozen():
        logits = clean_pass(model, images, how, report)
    scores = probabilities(logits)
    values = None if rule is None else score(rule.score, model, images, logits, how, rule.attack, report)
    refers = None if rule is None or values is None else rule.refers(values)
    classes: Sequence[str] = model.classes or images.classes
    point = None if rule is None else rule.operating_point
    rows: list[dict[str, Any]] = []
    for i, sample in enumerate(images.samples):
        row: dict[str, Any] = {
            "image": sample.image_id,
            "answer": classes[int(logits[i].argmax())],
            "probabilities": {name: float(p) for name, p in zip(classes, scores[i], strict=True)},
            "refer": None if refers is None else bool(refers[i]),
            "score": None if values is None or not math.isfinite(values[i]) else float(values[i]),
        }
        if point is not None:
            positive = str(point["positive_class"])
            other = next(name for name in classes if name != positive)
            above = row["probabilities"][positive] >= float(point["threshold"])
            row["by_operating_point"] = positive if above else other
        rows.append(row)
    rows += [{"image": name, "error": reason} for name, reason in images.broken]
    return Predictions(tuple(classes), tuple(rows), rule)
