"""Do maps meet the lesion? Relevance mass and pointing game, against chance and against the middle of the image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..records.intervals import Estimate, Grouping

CENTER = 0.25  # standard deviation of the bell in the middle, as a share of each side


class Hits(NamedTuple):
    """Of each image (n,): how much of a map is inside the lesion.

    Args:
        mass: share of the map's sum that is inside; NaN for a map of zeros.
        pointing: whether its largest pixel is inside; NaN for a map of zeros.
    """

    mass: np.ndarray
    pointing: np.ndarray


def hits(maps: Tensor, masks: Tensor) -> Hits:
    """Relevance mass (Arras et al. 2022, arXiv:2003.07258) and pointing game (Zhang et al. 2018, arXiv:1608.00507).

    Of several equal largest pixels the share that is inside counts. No pixel beside the lesion counts as a hit.

    Args:
        maps: (n, *spatial), none negative.
        masks: (n, *spatial) bool, none empty.

    Example:
        >>> maps = torch.tensor([[[1.0, 3.0], [0.0, 0.0]]])
        >>> hits(maps, torch.tensor([[[True, False], [True, False]]]))
        Hits(mass=array([0.25]), pointing=array([0.]))
    """
    flat, inside = maps.flatten(1).double().cpu(), masks.flatten(1).cpu()
    largest = flat == flat.amax(1, keepdim=True)
    mass = ((flat * inside).sum(1) / flat.sum(1)).numpy()
    pointing = ((largest & inside).sum(1) / largest.sum(1)).double().numpy()
    return Hits(mass, np.where(np.isnan(mass), np.nan, pointing))


def chance(masks: Tensor) -> Hits:
    """What a map without information reaches: the share of the image that is lesion, for both measures."""
    area = masks.flatten(1).double().mean(1).cpu().numpy()
    return Hits(area, area)


def middle(masks: Tensor) -> Hits:
    """What a bell in the middle of the image reaches, its standard deviation a quarter of each side."""
    bell = torch.ones((), dtype=torch.float64)
    for side in masks.shape[1:]:
        at = (torch.arange(side, dtype=torch.float64) - (side - 1) / 2) / (CENTER * side)
        bell = bell[..., None] * torch.exp(-0.5 * at**2)
    return hits(bell.expand(masks.shape), masks)


def inside_lesions(
    clean: Tensor, attacked: Tensor | None, masks: Tensor, grouping: Grouping
) -> dict[str, dict[str, Estimate]]:
    """Means and paired differences with their 95 % intervals.

    Args:
        clean, attacked: (n, *spatial) maps of the same images, none negative; attacked is None where none was.
        masks: (n, *spatial) bool, none empty.
        grouping: which images belong together.

    Returns, for mass and pointing: clean, attacked, chance, middle, and the differences clean_over_chance,
    clean_over_middle, attacked_less_clean, of the images where both are known; without attacked, the others.
    """
    seen = {"clean": hits(clean, masks), "chance": chance(masks), "middle": middle(masks)}
    if attacked is not None:
        seen["attacked"] = hits(attacked, masks)
    found = {}
    for measure in Hits._fields:
        of = {name: getattr(each, measure) for name, each in seen.items()}
        found[measure] = {name: grouping.mean_between(values, 0.0, 1.0) for name, values in of.items()} | {
            "clean_over_chance": grouping.mean_between(of["clean"] - of["chance"], -1.0, 1.0),
            "clean_over_middle": grouping.mean_between(of["clean"] - of["middle"], -1.0, 1.0),
        }
        if attacked is not None:
            found[measure]["attacked_less_clean"] = grouping.mean_between(of["attacked"] - of["clean"], -1.0, 1.0)
    return found
