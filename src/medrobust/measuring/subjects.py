"""The images under attack with all that belongs to each of them: one bundle, cut by `engine.tree.take`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from ..data.images.image_set import ImageSet
from ..goals import Goal
from ..streams import Streams
from ..threat import Ball, Threat
from .outcome import Grid

LESION, BACKGROUND = "lesion", "background"


class Subjects(NamedTuple):
    """m images.

    Args:
        x: (m, c, *spatial).
        y: (m,) the labels to leave: the true ones, or those that the classifier gives.
        goal: of each image.
        logits: (m, k) float32, of the unchanged images.
        units: (m, 2) of the files, see verify.stored.
        streams: random numbers of each image.
        mask: (m, 1, *spatial) bool, which pixels may change; None where all may.
    """

    x: Tensor
    y: Tensor
    goal: Goal
    logits: Tensor
    units: Tensor
    streams: Streams
    mask: Tensor | None = None

    def threat(self, grid: Grid, epsilon: float | Tensor) -> Threat:
        """The threat of a budget, one for all or one per image (m,)."""
        return Threat(epsilon=epsilon, norm=grid.norm, domain=grid.domain, mask=self.mask)

    def ball(self, grid: Grid, epsilon: float | Tensor) -> Ball:
        """The points allowed around each image at a budget."""
        return self.threat(grid, epsilon).around(self.x)


def allowed(images: ImageSet, indices: Iterable[int], where: str, device: torch.device | str = "cpu") -> Tensor | None:
    """(m, 1, *spatial) bool: the pixels that may change; None where all may.

    Args:
        images, indices: which images.
        where: lesion for the pixels of each image's mask, background for the others, "" for all.
        device: of the result.

    Errors: UserError for an image without a mask.

    Example:
        >>> x, lesion = torch.rand(2, 3, 4, 4), torch.eye(4).expand(2, 4, 4)
        >>> images = ImageSet.of(x, [0, 1], masks=lesion)
        >>> [int(allowed(images, [1], where).sum()) for where in ("lesion", "background")]
        [4, 12]
    """
    if not where:
        return None
    lesions = torch.stack([images.mask(i) for i in indices]).to(device)
    return lesions if where == LESION else ~lesions


def units_of(images: ImageSet, indices: Iterable[int]) -> Tensor:
    """(m, 2) float64: of each image one stored unit on [0, 1] and a stored value, see verify.stored.

    Example:
        >>> images = ImageSet.of(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), [0, 1])
        >>> (units_of(images, [1]) * 255).tolist()
        [[1.0, 0.0]]
    """
    rows = [(images.resolution(i), images.origin(i)) for i in indices]
    return torch.tensor(rows, dtype=torch.float64).reshape(-1, 2)
