"""The classifier, which decides, and the copy that searches."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..data.images.image_set import ImageSet
from ..goals import Goal, as_classes
from ..losses import margin
from ..models.classifier import Classifier
from ..models.search_copy import search_copy
from .outcome import Model
from .plan import Plan

NUM_EXAMPLES = 16  # images on which the copy is compared with the classifier


@dataclass(frozen=True)
class SearchModel:
    """Who decides, who searches, and how far the margins of the one that searches may be off.

    Args:
        model: the classifier; its float32 answers decide.
        fast: a copy that searches; what it finds counts only after the classifier confirmed it.
        kind: the copy in words.
        shortfall: rounding error of a margin of the copy: a failure this close is looked at again.
    """

    model: Model
    fast: Model
    kind: str = "float32, unchanged"
    shortfall: float = 0.0


def make_search_model(model: Classifier, images: ImageSet, plan: Plan) -> SearchModel:
    """A search model for these images, compared with the classifier on some of them."""
    example = torch.stack([images[i][0] for i in range(min(len(images), NUM_EXAMPLES))]).to(plan.device)
    fast, kind = search_copy(model, example, plan.precision)
    with torch.no_grad():
        truth, found = as_classes(model(example)), as_classes(fast(example))
        goal = Goal(truth.argmax(1), False)
        gap = float((margin(truth, goal) - margin(found, goal)).abs().max())
    return SearchModel(model, fast, kind, 2 * gap)
