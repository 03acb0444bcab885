"""Data sets by name: NAME:PATH in, images with labels, groups and splits out. A data set is a file and a line here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import UserError, nearest
from .choose.classes import balance_classes, cap_classes, limit_images, select_classes
from .choose.combined import combine, split_spec
from .choose.split_rules import split_images
from .choose.trained import Trained, left_out
from .images.image_set import ImageSet
from .images.loading import verify
from .images.splits import complete_splits
from .images.store import Progress
from .images.view import View
from .phantom.cases import open_phantom
from .sets.brain_mri import open_brain_mri
from .sets.busi import open_busi
from .sets.busis import open_busis
from .sets.cbis_ddsm import open_cbis_ddsm
from .sets.chest_xray import open_chest_xray
from .sets.cifar10 import open_cifar10
from .sets.folder import open_folder
from .sets.ham10000 import open_ham10000
from .sets.isic import open_isic
from .sets.kermany_oct import open_kermany_oct
from .sets.lidc import open_lidc
from .sets.medmnist import open_medmnist
from .sets.mnist import open_mnist
from .sets.table import open_csv

DATASETS: dict[str, Callable[..., ImageSet]] = {
    "brain_mri": open_brain_mri,
    "busi": open_busi,
    "busis": open_busis,
    "cbis_ddsm": open_cbis_ddsm,
    "chest_xray": open_chest_xray,
    "cifar10": open_cifar10,
    "csv": open_csv,
    "folder": open_folder,
    "ham10000": open_ham10000,
    "isic": open_isic,
    "kermany_oct": open_kermany_oct,
    "lidc": open_lidc,
    "medmnist": open_medmnist,
    "mnist": open_mnist,
    "phantom": open_phantom,
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
    splits: str = "auto",
    cap: int | Mapping[str, int] | None = None,
    balance: bool = False,
    extremes: tuple[float, float] | None = None,
    trained: Trained | None = None,
    same_set: bool = False,
    progress: Progress | None = None,
    options: Mapping[str, Any] | None = None,
    **more: Any,
) -> ImageSet:
    """Open `NAME:PATH`, choose classes, split and number of images, and decode them once.

    Args:
        spec: a name of DATASETS and a path, "busi:Dataset_BUSI_with_GT"; several joined with a plus are one set.
        view: size, channels, square and grey window.
        split: "train", "val", "test", "all"; "auto" is the source's own test split where it has one, else all.
        limit: number of images, a stratified choice by seed.
        seed: seed of the split and of the choices.
        skip_broken: leave broken files out and list them in .broken.
        classes: the classes to use, in the order of the labels, as a person writes them: see select_classes for
            merging. Names that a program knows go through exact_names, so that none is read as a rule.
        splits: how the set is split, see split_images: auto, official, group, paper, fold:1/5, counts:800/0/299, a
            CSV; a rule may have a seed of its own, as fold:1/5@7.
        cap: at most this many images of each class, in each split where a mapping names the splits.
        balance: as many images of every class as the rarest has, in each split.
        extremes: least and largest pixel that View(scale="set") stretches to 0 and 1, as ImageSet.extremes says them,
            of the images that a model was trained with; those of the images here that are not test by default. Other
            views do not use them.
        trained: the split table of a model, without whose training images "auto" then is; see left_out.
        same_set: the model was trained on this set.
        progress: called with (images done, images in all) while decoding.
        options: options of the data set, see set_options; a combined set passes each to the parts that have it.
        more: the same as keywords.

    Errors: UserError for everything a user can get wrong: name, path, class, split, broken file.
    """
    given = dict(options or {}) | more
    images = list_images(spec, seed=seed, classes=classes, splits=splits, progress=progress, options=given)
    view = view or View()
    images = images.replace(view=view, extremes=extremes if view.scale == "set" else None)
    if split == "all" and (limit is not None or cap is not None or balance):
        # splits are made before images are chosen: a limit must not move an image from test to train
        images = images.replace(samples=complete_splits(images.samples, seed=seed))
    leaves_out = trained if split == "auto" else None
    if split == "auto":
        split = "test" if any(sample.split == "test" for sample in images.samples) else "all"
    known = complete_splits(images.samples, seed=images.seed) if split != "all" else images.samples
    images = images.replace(whole=known).with_split(split)
    if leaves_out is not None:
        images = images.replace(samples=left_out(images, images.samples, leaves_out, same_set=same_set))
    if cap is not None:
        images = cap_classes(images, cap, seed)
    if balance:
        images = balance_classes(images, seed)
    if limit is not None:
        images = limit_images(images, limit, seed)
    return verify(images, skip_broken=skip_broken, progress=progress)


def list_images(
    spec: str,
    *,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    splits: str = "auto",
    progress: Progress | None = None,
    options: Mapping[str, Any] | None = None,
    **more: Any,
) -> ImageSet:
    """All images of a set, with all splits, before any is decoded; see open_images for arguments and errors.

    Here progress is called while a set is fetched.
    """
    specs = split_spec(spec, DATASETS)
    given = _checked(specs, dict(options or {}) | more)
    if len(specs) == 1:
        images = _open(spec, classes, given, progress)
    else:
        images = combine([_open(part, None, given, progress) for part in specs])
        images = select_classes(images, classes) if classes else images
    return split_images(images.replace(seed=seed), splits)


def set_options(name: str) -> tuple[str, ...]:
    """The options of a data set, for data.options.NAME=VALUE. Errors: UserError for an unknown set.

    Example:
        >>> set_options("folder")
        ('group', 'masks')
    """
    if name not in DATASETS:
        raise UserError("data.name", f"unknown data set {name!r}", nearest(name, DATASETS))
    known = inspect.signature(DATASETS[name]).parameters
    return tuple(key for key in known if key not in ("path", "classes", "progress"))


def _checked(specs: Sequence[str], options: Mapping[str, Any]) -> dict[str, str]:
    """The options as text. Errors: UserError for one that no part of the set has."""
    names = [spec.partition(":")[0] for spec in specs]
    valid = list(dict.fromkeys(key for name in names for key in set_options(name)))
    for key, value in options.items():
        if key not in valid:
            fix = nearest(key, valid) if valid else "it has none"
            raise UserError(f"data.options.{key}", f"{'+'.join(names)} has no such option", fix)
        if not isinstance(value, str | int | float):
            raise UserError(f"data.options.{key}", f"{value!r} is not a text or a number")
    return {key: str(value) for key, value in options.items()}


def _open(spec: str, classes: Sequence[str] | None, options: Mapping[str, str], progress: Progress | None) -> ImageSet:
    name, _, path = spec.partition(":")
    opener = DATASETS[name]
    known = inspect.signature(opener).parameters
    own: dict[str, Any] = {key: value for key, value in options.items() if key in known}
    if "progress" in known:
        own["progress"] = progress
    if "classes" in known:
        return opener(path, classes=classes, **own)
    images = opener(path, **own)
    return select_classes(images, classes) if classes else images
