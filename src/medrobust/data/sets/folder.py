"""folder:PATH, one folder per class, with or without train, val and test folders above them."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ...errors import UserError
from ..files.read import num_frames
from ..images.card import DatasetCard
from ..images.image_set import ImageSet
from ..images.sample import Sample
from ..images.tables import spelled_alike
from .mask_files import MaskFiles
from .masks import without_masks

CARD = DatasetCard(
    name="folder",
    title="Your images, one folder per class",
    group="the first group of the option group=REGEX on the path below the class, else the image",
    layout="CLASS/**/IMAGE or {train,val,test}/CLASS/**/IMAGE",
)

SPLIT_FOLDERS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_JUNK = {"thumbs.db", "desktop.ini"}  # hidden by the system that makes them


def require_folder(path: str, place: str) -> Path:
    """The path as an existing folder. Errors: UserError."""
    root = Path(path).expanduser()
    if not path:
        raise UserError(place, "no path given", f"write {place}:PATH")
    readable(root)
    if not root.exists():
        raise UserError(path, "no such folder")
    if not root.is_dir():
        raise UserError(path, "is a file, not a folder")
    return root


def is_hidden(path: Path) -> bool:
    """Files that a user does not see and did not put there."""
    return path.name.startswith(".") or path.name == "__MACOSX" or path.name.lower() in _JUNK


def readable(path: Path) -> None:
    """Errors: UserError for a name that is not text in UTF-8, as archives made elsewhere leave them."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        name = os.fsencode(path.name).decode("ascii", "backslashreplace")
        folder = os.fsencode(path.parent).decode("ascii", "backslashreplace")
        raise UserError(folder, f"the name {name} is not in UTF-8", "rename it, for example with convmv") from error


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder and is not hidden, sorted by name. Errors: UserError."""
    try:
        found = [entry for entry in sorted(folder.iterdir()) if not is_hidden(entry)]
    except OSError as error:
        raise UserError(str(folder), f"cannot be listed: {(error.strerror or str(error)).lower()}") from error
    for entry in found:
        readable(entry)
    return found


def visible_files(folder: Path, *, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """All files below a folder that are not hidden, in a stable order; links are followed.

    Errors: UserError for a link that leads back to a folder above it, an unreadable folder or name.
    """
    here = folder.resolve()
    if any(here == other or here in other.parents for other in above):
        raise UserError(str(folder), "is a link that leads back to a folder above it", "remove the link")
    for entry in _entries(folder):
        if entry.is_dir():
            yield from visible_files(entry, above=(*above, here))
        else:
            yield entry


def visible_folders(folder: Path) -> list[Path]:
    """The folders directly below, not hidden, sorted by name."""
    return [entry for entry in _entries(folder) if entry.is_dir()]


def _class_folders(base: Path) -> dict[str, Path]:
    """name -> folder. Errors: UserError for a link to nothing, which may have been a class."""
    for entry in _entries(base):
        if entry.is_symlink() and not os.path.exists(entry):
            raise UserError(str(entry), "is a link to something that is not there", "remove or mend it")
    return {folder.name: folder for folder in visible_folders(base)}


def split_folders(root: Path) -> dict[str, Path]:
    """split -> folder when every folder below root is named after a split, else nothing."""
    folders = visible_folders(root)
    named = {SPLIT_FOLDERS.get(folder.name.lower(), ""): folder for folder in folders}
    return named if folders and "" not in named and len(named) == len(folders) else {}


def _class_roots(root: Path) -> dict[str, Path]:
    """split -> the folder that holds its class folders; "" -> root where there are no splits.

    Errors: UserError when some folders are named as splits and others are not, or two are of one split.
    """
    folders = list(_class_folders(root).values())
    splits = [folder.name for folder in folders if folder.name.lower() in SPLIT_FOLDERS]
    odd = [folder for folder in folders if folder.name not in splits]
    if splits and odd:
        copies = {folder: " (a copy of the set?)" if split_folders(folder) else "" for folder in odd}
        named = ", ".join(f"{folder.name}{words}" for folder, words in copies.items())
        problem = f"{', '.join(splits)} are named as splits, {named} not: classes and splits are mixed"
        fix = "keep only train, val and test there, with one folder per class below each, or only class folders"
        raise UserError(str(root), problem, fix)
    found = split_folders(root)
    if splits and not found:
        raise UserError(str(root), f"two of its folders are one split: {', '.join(splits)}", "join them")
    return found or {"": root}


def _check_names(root: Path, found: dict[str, dict[str, Path]]) -> None:
    """Errors: UserError for class folders of two spellings, or with split folders below them."""
    pair = spelled_alike(name for each in found.values() for name in each)
    if pair:
        places = [next(f"{split}/{name}".lstrip("/") for split, each in found.items() if name in each) for name in pair]
        problem = f"the class folders {places[0]} and {places[1]} differ only in spelling"
        raise UserError(str(root), problem, "rename one")
    for each in found.values():
        for name, folder in each.items():
            below = [sub.name for sub in visible_folders(folder) if sub.name.lower() in SPLIT_FOLDERS]
            if below:
                problem = f"the class folder {name!r} holds folders named as splits: {', '.join(below)}"
                raise UserError(str(root), problem, "put the splits above the classes: train/CLASS/IMAGE")


def frame_samples(sample: Sample) -> list[Sample]:
    """The sample, or one per frame ("name#3") when its file has several; they share their group."""
    assert sample.path is not None
    count = num_frames(sample.path)
    if count == 1:
        return [sample]
    return [dataclasses.replace(sample, image_id=f"{sample.image_id}#{k}", frame=k) for k in range(count)]


def class_samples(
    root: Path,
    *,
    classes: Sequence[str] | None = None,
    group: Callable[[Path], str | None] = lambda relative: None,
    keep: Callable[[Path], bool] = lambda path: True,
    masks: str | None = "keep",
) -> tuple[tuple[str, ...], list[Sample]]:
    """Class names and samples of class folders, below split folders where there are any.

    Args:
        root: the data root; image ids are relative to it.
        classes: the class folders that must be there (others are ignored); None takes all, sorted.
        group: path relative to root -> group id, None for none.
        keep: which files to take.
        masks: see without_masks.

    Errors: UserError when there is no class, only one, a class without images, or no image at all; when folders are
    mixed from classes and splits, or two classes differ only in spelling; when there are masks.
    """
    splits = _class_roots(root)
    found = {split: _class_folders(base) for split, base in splits.items()}
    names = tuple(classes) if classes is not None else tuple(sorted({name for each in found.values() for name in each}))
    if not names:
        raise UserError(str(root), "no class folders in it", "put the images in one folder per class")
    if len(names) == 1:
        only = next(folders[names[0]] for folders in found.values() if names[0] in folders)
        deeper = len(found) == 1 and "" in found and len(visible_folders(only)) > 1
        fix = f"give {only}" if deeper else "a classifier needs two or more class folders"
        raise UserError(str(root), f"only one class, {names[0]!r}", fix)
    if classes is None:
        _check_names(root, found)
    places = [
        (split, label, path)
        for split, folders in found.items()
        for label, name in enumerate(names)
        for path in (visible_files(folders[name]) if name in folders else ())
        if keep(path)
    ]
    kept = set(without_masks(root, [path.relative_to(root) for _, _, path in places], masks))
    samples = []
    for split, label, path in places:
        relative = path.relative_to(root)
        if relative in kept:
            group_id = group(relative) or relative.as_posix()
            samples += frame_samples(Sample(relative.as_posix(), path, label, group_id, split))
    if not samples:
        raise UserError(str(root), f"no images in the class folders {', '.join(names)}")
    for label, name in enumerate(names):
        if not any(sample.label == label for sample in samples):
            problem = "is empty" if any(name in each for each in found.values()) else "is missing"
            raise UserError(str(root), f"the class folder {name!r} {problem}", "each class needs images")
    return names, samples


def open_folder(path: str, *, group: str | None = None, masks: str | None = None) -> ImageSet:
    """Open class folders.

    Args:
        path: the folder.
        group: a regular expression, searched in the path below the folder; its first group names the patient or lesion.
        masks: "skip" or "keep" files that are named as masks, NAME_mask.png or masks/NAME.png.

    Errors: UserError, as class_samples, and for a regular expression that is wrong or has no group.
    """
    if masks not in (None, "skip", "keep"):
        raise UserError("data.options.masks", f"unknown word {masks!r}", "valid: skip, keep")
    root = require_folder(path, CARD.name)
    try:
        pattern = re.compile(group) if group else None
    except re.error as error:
        raise UserError("data.options.group", f"{group!r} is not a regular expression: {error}") from error
    if pattern and pattern.groups < 1:
        raise UserError("data.options.group", f"{group!r} has no parenthesis", "for example 'patient(\\d+)'")

    def group_of(relative: Path) -> str | None:
        match = pattern.search(relative.as_posix()) if pattern else None
        return match.group(1) if match else None

    classes, samples = class_samples(root, group=group_of, masks=masks)
    known = MaskFiles.beside(root, samples, visible_files) if masks == "skip" else None
    return ImageSet(root.name or CARD.name, classes, samples, card=CARD, masks=known)
