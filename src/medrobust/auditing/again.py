"""What checks that attack once more share: which images, how many, and what so many failures mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data.images.image_set import ImageSet
from ..findings import Severity
from ..measuring.outcome import Grid
from ..records.intervals import wilson
from ..records.records import Records
from ..threat import Threat
from .context import Context

SLIGHT, GRAVE = 0.005, 0.03  # of all images: robust accuracy that is surely too high by so much
SHARE = 0.05  # of the gradients of the audit that such a check may take
LEAST = 1600  # gradients that it may always take


@dataclass(frozen=True)
class Standing:
    """Images that the attacks left standing at a budget.

    Args:
        grid: norm and budgets.
        epsilon: the budget: the one at which the number of those standing is nearest to half of those right untouched.
        positions: of all that stand there.
        num_images: of the audit.
    """

    grid: Grid
    epsilon: float
    positions: tuple[int, ...]
    num_images: int

    def threat(self, mask: Tensor | None = None) -> Threat:
        """The budget as a threat, to the pixels of a mask."""
        return Threat(epsilon=self.epsilon, norm=self.grid.norm, domain=self.grid.domain, mask=mask)

    def severity(self, fallen: int, asked: int) -> Severity:
        """What it means that so many of those asked fall after all: by how much robust accuracy is surely too high."""
        return severity_of(fallen, asked, len(self.positions) / self.num_images)


def severity_of(fallen: int, asked: int, share: float = 1.0) -> Severity:
    """What so many of those asked mean, who are a share of all images: the lower end of Wilson's interval decides."""
    low = wilson(fallen, asked).low * share if asked else 0.0
    return "fail" if low > GRAVE else "warn" if low > SLIGHT else "pass"


def standing(records: Records, grid: Grid) -> Standing | None:
    """The images that stand at a budget in the middle of the curve; None where nothing stands at any.

    Example:
        >>> from medrobust.testing import small_audit
        >>> records, context = small_audit()
        >>> found = standing(records, context.plan.grids[0])
        >>> found.epsilon == 16 / 255, len(found.positions)
        (True, 24)
    """
    curve, clean = records.worst_case(grid.norm_name), records.clean
    right = int((clean["clean_prediction"] == clean["label"]).sum())
    counts = curve.counted.sum(0)
    if not counts.any():
        return None
    gap = np.where(counts > 0, np.abs(counts - right / 2), np.inf)
    at = len(gap) - 1 - int(np.argmin(gap[::-1]))
    positions = tuple(np.flatnonzero(curve.counted[:, at]).tolist())
    return Standing(grid, float(curve.epsilons[at]), positions, len(clean))


def spread(positions: Sequence[int], count: int) -> list[int]:
    """At most so many of the positions, evenly spaced.

    Example:
        >>> spread([3, 5, 8, 9, 12], 2)
        [3, 8]
    """
    n = len(positions)
    return list(positions) if n <= count else [positions[k * n // count] for k in range(count)]


def affordable_images(context: Context, gradients_each: int, most: int) -> int:
    """Images that a check may attack again with so many gradients each."""
    allowed = max(LEAST, SHARE * float(context.cost.get("backwards", 0)))
    return int(min(most, max(4, allowed // gradients_each)))


def images_at(images: ImageSet, positions: Sequence[int], device: str) -> tuple[Tensor, list[str]]:
    """(m, c, *spatial) on a device, and the image ids."""
    x = torch.stack([images[i][0] for i in positions]).to(device)
    return x, [images.samples[i].image_id for i in positions]
