"""The decision boundary in a plane, of the images of an audit and of their smallest changes: a part of explain.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import UserError
from ..explain.boundary import in_plane
from ..explain.pairs import MOST_IMAGES, drawn
from ..files import write_atomic
from ..measuring.shown import read_shown
from ..records.records import Records
from ..records.sensitivity import sensitivity
from .setup import Setup


def boundary(
    setup: Setup, records: Records, parts: Path, method: str = "tsne", folder: Path | None = None
) -> dict[str, Any]:
    """Images in a plane, untouched and at each budget of the first norm, and the smallest change of each.

    Measuring keeps one point of an image: the first that misled it. At a budget that reaches this point the image is
    there, at a smaller one it stays where it is untouched. At most 200 images, drawn by their ids. `reason` says why
    there is no map.

    Args:
        parts: where measuring kept its points.
        method: tsne, or umap where umap-learn is installed.
        folder: where pictures are written, one for untouched and one for each budget; none without it.
    """
    grid, images, clean = setup.plan.grids[0], setup.images, records.clean
    names = [str(name) for name in clean["image_id"]]
    kept, x = _of_one_shape(setup, drawn(names, MOST_IMAGES, setup.plan.seed))
    labels = clean["label"][kept]
    points, at = list(x), [np.arange(len(kept)) for _ in range(1 + len(grid.epsilons))]
    shown = read_shown(parts) if setup.plan.honest else {}
    for i, position in enumerate(kept):
        point, attack = shown.get(position, (None, ""))
        if point is None or not attack or clean["clean_prediction"][position] != labels[i]:
            continue
        reached = records.matrix(attack, grid.norm_name, "reached")[1][position]
        for row in at[1 + int(reached.argmax()) :]:
            row[i] = len(points)
        points.append(point.float())
    found = sensitivity(records, grid.norm_name)
    content: dict[str, Any] = {
        "norm": grid.norm_name,
        "classes": list(images.classes),
        "ids": [names[i] for i in kept],
        "labels": labels.tolist(),
        "smallest": [_size(found.change_wrong[i]) for i in kept],
        "num_images": len(names),
    }
    if not setup.plan.honest:
        return content | {"reason": "protocol=paper keeps no smallest change of each image"}
    try:
        made = in_plane(
            setup.model,
            points,
            np.stack(at),
            content["labels"],
            grid.epsilons,
            method=method,
            seed=setup.plan.seed,
            batch_size=min(setup.plan.batch_size, 32),
            norm=grid.norm_name,
            ids=content["ids"],
        )
    except UserError as error:
        return content | {"reason": error.problem}
    if folder is not None:
        for picture in range(len(at)):
            write_atomic(folder / f"boundary_{picture:02d}.svg", made.svg(picture))
    return content | made.as_dict()


def _of_one_shape(setup: Setup, positions: list[int]) -> tuple[list[int], list[torch.Tensor]]:
    """The images at these positions that have the shape of the first."""
    found = [(i, setup.images[i][0].float()) for i in positions]
    same = [(i, x) for i, x in found if x.shape == found[0][1].shape]
    return [i for i, _ in same], [x for _, x in same]


def _size(change: float) -> float | None:
    return float(change) if np.isfinite(change) else None
