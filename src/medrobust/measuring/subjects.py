"""The images under attack with all that belongs to each of them: one bundle, cut by `engine.tree.take`."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ..goals import Goal
from ..norms import NORMS
from ..streams import Streams
from ..threat import Ball, Threat
from .outcome import Grid


class Subjects(NamedTuple):
    """m images.

    Args:
        x: (m, c, *spatial).
        y: (m,) the labels to leave: the true ones, or those that the classifier gives.
        goal: of each image.
        logits: (m, k) float32, of the unchanged images.
        depth: (m,) bits of the source.
        streams: random numbers of each image.
    """

    x: Tensor
    y: Tensor
    goal: Goal
    logits: Tensor
    depth: Tensor
    streams: Streams

    def threat(self, grid: Grid, epsilon: float | Tensor) -> Threat:
        """The threat of a budget, one for all or one per image (m,)."""
        return Threat(epsilon=epsilon, norm=NORMS[grid.norm_name], domain=grid.domain)

    def ball(self, grid: Grid, epsilon: float | Tensor) -> Ball:
        """The points allowed around each image at a budget."""
        return self.threat(grid, epsilon).around(self.x)
