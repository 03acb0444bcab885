"""Images with labels, groups and splits, from the layouts in which their sources distribute them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import UserError, nearest
from .batch import Batch
from .busi import open_busi
from .cards import DatasetCard
from .chest_xray import open_chest_xray
from .csv import open_csv
from .folder import open_folder
from .image_set import ImageSet, Sample, View
from .loading import batches, verify
from .select import limit_images, select_classes
from .splits import make_splits
from .store import Progress

__all__ = [
    "DATASETS", "Batch", "DatasetCard", "ImageSet", "Sample", "View", "batches", "make_splits", "open_images",
]  # fmt: skip


def _open_phantom(path: str, **options: Any) -> ImageSet:
    from .phantom import open_phantom

    return open_phantom(path, **options)


DATASETS: dict[str, Callable[..., ImageSet]] = {
    "busi": open_busi,
    "chest_xray": open_chest_xray,
    "csv": open_csv,
    "folder": open_folder,
    "phantom": _open_phantom,
}


def open_images(
    spec: str,
    *,
    view: View | None = None,
    split: str = "auto",
    limit: int | None = None,
    seed: int = 0,
    skip_broken: bool = False,
    classes: Sequence[str] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> ImageSet:
    """Open `NAME:PATH`, choose classes, split and number of images, and decode them once.

    Args:
        spec: a name of DATASETS and a path, "busi:Dataset_BUSI_with_GT".
        view: size, channels, square and gray window.
        split: "train", "val", "test", "all"; "auto" is the source's own test split where it has one, else all.
        limit: number of images, a stratified choice by seed.
        seed: seed of the split and of the choice.
        skip_broken: leave broken files out and list them in .broken.
        classes: the classes to use, in the order of the labels; see select_classes for merging.
        progress: called with (images done, images in all) while decoding.
        options: options of the data set.

    Errors: UserError for everything a user can get wrong: name, path, class, split, broken file.
    """
    images = _open(spec, classes, options).replace(view=view or View(), seed=seed)
    if split == "auto":
        split = "test" if any(sample.split == "test" for sample in images.samples) else "all"
    images = images.with_split(split)
    if limit is not None:
        images = limit_images(images, limit, seed)
    return verify(images, skip_broken=skip_broken, progress=progress)


def _open(spec: str, classes: Sequence[str] | None, options: dict[str, Any]) -> ImageSet:
    name, _, path = spec.partition(":")
    if name not in DATASETS:
        raise UserError("data.name", f"unknown data set {name!r}", nearest(name, DATASETS))
    opener = DATASETS[name]
    known = inspect.signature(opener).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        for key in options:
            if key not in known:
                raise UserError(f"data.{key}", f"{name} has no such option", nearest(key, set(known) - {"path"}))
    if "classes" in known:
        return opener(path, classes=classes, **options)
    images = opener(path, **options)
    return select_classes(images, classes) if classes else images
