"""The unchanged images: the answers that everything is compared with."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ..data.images.image_set import ImageSet
from ..data.images.loading import batches
from ..errors import UserError
from ..models.classifier import Classifier
from ..progress import Report
from .verify import exact_float32


class Showing(Protocol):
    """How images are shown to a classifier: the part of a Plan that says so."""

    @property
    def batch_size(self) -> int:
        """Images at once."""

    @property
    def device(self) -> str:
        """Where the classifier is."""

    @property
    def num_workers(self) -> int:
        """Processes that decode images."""


def clean_pass(model: Classifier, images: ImageSet, plan: Showing, progress: Report | None = None) -> Tensor:
    """Logits (n, k) of the unchanged images, float32, on the CPU; every image and every output is checked.

    Errors: UserError when pixels leave the domain (normalized twice?), outputs are not finite, or are probabilities.
    """
    parts, done = [], 0
    low, high = model.domain
    for batch in batches(images, plan.batch_size, num_workers=plan.num_workers):
        inside = ((batch.x >= low - 1e-6) & (batch.x <= high + 1e-6)).flatten(1).all(1)
        if not bool(inside.all()):
            at = int((~inside).nonzero()[0, 0])
            seen = f"{float(batch.x[at].min()):.3g} to {float(batch.x[at].max()):.3g}"
            raise UserError(
                images.samples[int(batch.index[at])].image_id,
                f"pixels from {seen} are outside [{low:g}, {high:g}]: they look already normalized",
                "give images as stored and the normalization as model.mean, model.std",
            )
        with torch.no_grad(), exact_float32():
            logits = model(batch.x.to(plan.device)).float().cpu()
        bad = ~torch.isfinite(logits).all(1)
        if bool(bad.any()):
            name = images.samples[int(batch.index[bad][0])].image_id
            raise UserError("model", f"the output for {name} is not a finite number", "check weights and preprocessing")
        parts.append(logits)
        done += len(logits)
        if progress:
            progress("clean images", done, len(images))
    logits = torch.cat(parts)
    is_probability = bool((logits >= 0).all()) and torch.allclose(logits.sum(1), torch.ones(len(logits)), atol=1e-4)
    if model.head == "softmax" and len(logits) > 1 and is_probability:
        raise UserError("model", "the outputs are probabilities, not logits", "set model.head=probabilities")
    return logits
