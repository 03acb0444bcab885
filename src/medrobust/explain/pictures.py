"""Maps laid over their images, as PNG files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..files import write_atomic

STRONGEST = 0.995  # the share of a map's pixels that are not brighter than the full color
COVER = 0.8  # of the image, where the map is full
EDGE = (64, 200, 255)  # of the lesion


def overlay(x: Tensor, values: Tensor, mask: Tensor) -> np.ndarray:
    """uint8 (h, w, 3): an image in grey, the map over it from red to yellow, the edge of the lesion in blue.

    Args:
        x: (c, *spatial) on [0, 1]; of a volume the middle slice is shown.
        values: (*spatial), none negative.
        mask: (*spatial) bool.

    Example:
        >>> flat = torch.full((1, 2, 2), 0.5)
        >>> overlay(flat, torch.tensor([[0.0, 0.0], [0.0, 1.0]]), torch.zeros(2, 2, dtype=torch.bool))[0, 0].tolist()
        [128, 128, 128]
    """
    grey = x.mean(0)
    while grey.ndim > 2:
        grey, values, mask = (part[len(part) // 2] for part in (grey, values, mask))
    top = float(values.flatten().quantile(STRONGEST)) or float(values.max())
    heat = (values / top).clamp(0, 1) if top > 0 else torch.zeros_like(values)
    color = torch.stack([torch.ones_like(heat), heat * 0.9, torch.zeros_like(heat)], 2)
    cover = (COVER * heat)[..., None]
    shown = ((1 - cover) * grey.clamp(0, 1)[..., None] + cover * color).mul(255).round().to(torch.uint8).numpy()
    shown[_edge(mask.numpy())] = EDGE
    return shown


def _edge(mask: np.ndarray) -> np.ndarray:
    """The pixels of a mask that have a neighbor outside of it."""
    around = np.pad(mask, 1)
    inner = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return mask & ~inner


def write_pictures(
    folder: Path,
    name: str,
    ids: Sequence[str],
    images: Sequence[Tensor],
    maps: Sequence[Tensor],
    masks: Tensor,
) -> list[dict[str, Any]]:
    """Write the first images with their maps, untouched and, where there are two of each, attacked; names of files."""
    from PIL import Image

    rows = []
    for i, image_id in enumerate(ids):
        row = {"image_id": image_id}
        for kind, x, values in zip(("clean", "attacked"), images, maps, strict=False):
            buffer = io.BytesIO()
            picture = overlay(x[i].float().cpu(), values[i], masks[i])
            Image.fromarray(picture).save(buffer, format="PNG", optimize=True)
            row[f"{kind}_png"] = f"{name}_{i}_{kind}.png"
            write_atomic(folder / row[f"{kind}_png"], buffer.getvalue())
        rows.append(row)
    return rows
