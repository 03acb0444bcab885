"""What decides the answers to images without labels: maps alone, for nothing can be attacked or right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..data.sets.lesions import lesion_masks
from ..explain.pairs import MOST_IMAGES, Pairs, drawn, explain_pairs
from ..explain.registry import MAPS
from ..files import write_json
from ..progress import Report
from ..recipes.audit import AuditRecipe
from .predict import open_both

MOST_SHOWN = 24  # pictures of each map: a folder is explained for its pictures
WITHOUT_LABELS = "no labels: the answers are explained; attacks, and whether an answer is right, are left out"
WITHOUT_MASKS = "no masks: whether maps meet the lesion is left out"


def explain_answers(
    recipe: AuditRecipe,
    images: str,
    folder: Path,
    report: Report | None = None,
    names: tuple[str, ...] = tuple(MAPS),
) -> dict[str, Any]:
    """Write explain.json and its pictures into a folder, of the answers of a model to images without labels.

    Args:
        recipe: its model, and the view and the limit of its data.
        images: a folder, whose masks are used, a file, or csv:FILE with a column image.
        folder: where explain.json is written.
        report: told of the progress.
        names: of the maps.

    Returns the content of explain.json; left_out says what is missing and why.

    Errors: UserError for whatever an audit refuses, and when no image can be read.
    """
    model, opened, how = open_both(recipe, images, report, skip_masks=True)
    model.to(how.device)
    most = min(MOST_IMAGES, recipe.data.limit or MOST_IMAGES)
    shown = opened.subset(drawn([sample.image_id for sample in opened.samples], most, recipe.seed))
    x = [shown[i][0] for i in range(len(shown))]
    same = [i for i, one in enumerate(x) if one.shape == x[0].shape]
    shown = shown.subset(same)
    masks = lesion_masks(shown)
    nothing = torch.zeros(x[0].shape[1:], dtype=torch.bool)
    pairs = Pairs(
        torch.stack([x[i] for i in same]),
        None,
        tuple(sample.image_id for sample in shown.samples),
        shown.groups,
        torch.stack([torch.from_numpy(masks[k]) if k in masks else nothing for k in range(len(same))]),
    )
    content = explain_pairs(
        model,
        pairs,
        names,
        seed=recipe.seed,
        batch_size=min(how.batch_size, 32),
        folder=folder / "explain",
        report=report,
        most_shown=MOST_SHOWN,
    )
    content |= {
        "left_out": [WITHOUT_LABELS, *([] if masks else [WITHOUT_MASKS])],
        "num_other_images": len(opened) - len(same),
        "broken": [{"image": name, "error": reason} for name, reason in opened.broken],
        "attacks": [],
        "classes": list(model.classes or opened.classes),
    }
    write_json(folder / "explain.json", content)
    return content
