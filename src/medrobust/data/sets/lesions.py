"""Masks of lesions that lie with the images: found by their names, shown as the images are."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from ...errors import UserError
from ..files.pixels import BrokenImageError, Pixels
from ..files.read import read_pixels
from ..images.image_set import ImageSet
from ..images.view import View, center_crop, pad_to_square, resize
from .masks import image_of

_FOLDER = re.compile(r"mask|segmentation|ground[ _-]?truth|annotation", re.IGNORECASE)


def lesion_masks(images: ImageSet) -> dict[int, np.ndarray]:
    """Position of an image -> its mask, bool (*spatial), of the size that the image is shown in.

    A mask is the one that the set has of the image (`ImageSet.mask`). Where it has none, it is a file beside the image,
    `NAME_mask.png`, `NAME_mask_1.png` (BUSI), or a file `NAME.png` or `NAME_segmentation.png` in a folder beside that
    of the image whose name says mask, segmentation, annotation or ground truth (HAM10000). Several masks of an image
    are joined. Images without a mask, with an empty one, or with one that cannot be read or has another size are not
    in the answer.
    """
    known: dict[Path, dict[str, list[Path]]] = {}
    found: dict[int, np.ndarray] = {}
    for i, sample in enumerate(images.samples):
        own = _own(images, i)
        if own is not None:
            found |= {i: own} if own.any() else {}
            continue
        if sample.path is None or sample.frame > 0:
            continue
        folder = sample.path.parent
        if folder not in known:
            known[folder] = _index(folder)
        paths = [path for path in known[folder].get(sample.path.stem, ()) if path != sample.path]
        mask = _joined(paths, images.view, read_pixels(sample.path).values.shape[1:]) if paths else None
        if mask is not None and mask.any():
            found[i] = mask
    return found


def _own(images: ImageSet, i: int) -> np.ndarray | None:
    if images.masks is None:
        return None
    try:
        return images.mask(i)[0].numpy()
    except UserError:
        return None


def _index(folder: Path) -> dict[str, list[Path]]:
    """Name of an image -> files that are named as its masks."""
    beside = [path for path in _files(folder) if image_of(path) != path.stem]
    around = {*_folders(folder), *_folders(folder.parent)} - {folder}
    inside = [path for other in sorted(around) if _FOLDER.search(other.name) for path in _files(other)]
    index = defaultdict(list)
    for path in (*beside, *inside):
        index[image_of(path)].append(path)
    return index


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _folders(folder: Path) -> Iterable[Path]:
    return (path for path in folder.iterdir() if path.is_dir())


def _joined(paths: list[Path], view: View, size: tuple[int, ...]) -> np.ndarray | None:
    whole = np.zeros(size, dtype=bool)
    for path in paths:
        try:
            values = _one(read_pixels(path))
        except BrokenImageError:
            return None
        if values.shape != size:
            return None
        whole |= values
    x = torch.from_numpy(whole)[None].float()
    x = pad_to_square(x) if view.fit == "pad" else center_crop(x) if view.fit == "crop" else x
    x = resize(x, view.image_size) if view.image_size else x
    return (x[0] >= 0.5).numpy()


def _one(pixels: Pixels) -> np.ndarray:
    values = pixels.values.max(0)
    return values > values.max() / 2 if values.max() > 0 else np.zeros(values.shape, dtype=bool)
