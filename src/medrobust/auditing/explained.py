"""What the classifier looks at, before and after the smallest change that misled it: explain.json of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..data.images.image_set import ImageSet
from ..data.sets.lesions import lesion_masks
from ..explain.pairs import MOST_IMAGES, MOST_SHOWN, Pairs, explain_pairs
from ..explain.registry import MAPS
from ..explain.residual import as_content, residual
from ..files import write_json
from ..measuring.shown import read_shown
from ..progress import Report
from ..records.records import Records
from .boundary import boundary
from .setup import Setup

EXPLAIN, PICTURES = "explain.json", "explain"


def write_explained(
    folder: Path,
    setup: Setup,
    records: Records,
    report: Report | None = None,
    parts: Path | None = None,
    names: tuple[str, ...] = tuple(MAPS),
    method: str = "tsne",
) -> dict[str, Any]:
    """Write explain.json and its pictures into a folder, of the images that an attack misled; see `explain_pairs`.

    Args:
        parts: where measuring kept its points; folder/parts by default.
        names: of the maps.
        method: of the plane in which the decision boundary is shown; see `auditing.boundary`.
    """
    grid, plan = setup.plan.grids[0], setup.plan
    content: dict[str, Any]
    parts = folder / "parts" if parts is None else parts
    pairs, attacks = _pairs(setup.images, records, parts)
    if pairs is None:
        why = "no attack misled an image" if plan.honest else "protocol=paper keeps no smallest change of each image"
        content = {"reason": why, "maps": []}
    else:
        content = explain_pairs(
            setup.model,
            pairs,
            names,
            seed=plan.seed,
            batch_size=min(plan.batch_size, 32),
            folder=folder / PICTURES,
            report=report,
        )
        content["residual"] = _residual(setup, pairs, folder / PICTURES)
    content |= {"norm": grid.norm_name, "attacks": attacks, "classes": list(setup.images.classes)}
    content["boundary"] = boundary(setup, records, parts, method, folder / PICTURES)
    write_json(folder / EXPLAIN, content)
    return content


def _residual(setup: Setup, pairs: Pairs, folder: Path) -> dict[str, Any] | None:
    """The change at the first pooling layer, of the images whose maps were made; None of a network without one."""
    pairs = pairs.at(pairs.drawn(MOST_IMAGES, setup.plan.seed))
    assert pairs.x_adv is not None
    with setup.model.frozen():
        found = residual(setup.model, pairs.x, pairs.x_adv, min(setup.plan.batch_size, 32))
    return None if found is None else as_content(found, pairs.ids, pairs.groups, folder, MOST_SHOWN)


def _pairs(images: ImageSet, records: Records, parts: Path) -> tuple[Pairs | None, list[str]]:
    """The images that are right untouched and that an attack misled, with the smallest change that did."""
    right = records.clean["clean_prediction"] == records.clean["label"]
    kept = {i: found for i, found in sorted(read_shown(parts).items()) if right[i] and found[1]}
    if not kept:
        return None, []
    x = [images[i][0] for i in kept]
    same = [i for i, one in zip(kept, x, strict=True) if one.shape == x[0].shape]
    masks = lesion_masks(images.subset(same))
    nothing = torch.zeros(x[0].shape[1:], dtype=torch.bool)
    pairs = Pairs(
        torch.stack([images[i][0] for i in same]),
        torch.stack([kept[i][0].float() for i in same]),
        tuple(images.samples[i].image_id for i in same),
        tuple(images.samples[i].group_id for i in same),
        torch.stack([torch.from_numpy(masks[k]) if k in masks else nothing for k in range(len(same))]),
    )
    return pairs, sorted({kept[i][1] for i in same})
