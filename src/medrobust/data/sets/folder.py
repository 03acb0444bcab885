"""folder:PATH, one folder per class, with or without train, val and test folders above them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ...errors import UserError
from ..files.read import num_frames
from ..images.card import DatasetCard
from ..images.image_set import ImageSet
from ..images.sample import Sample

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
    if not root.exists():
        raise UserError(path, "no such folder")
    if not root.is_dir():
        raise UserError(path, "is a file, not a folder")
    return root


def is_hidden(path: Path) -> bool:
    """Files that a user does not see and did not put there."""
    return path.name.startswith(".") or path.name == "__MACOSX" or path.name.lower() in _JUNK


def visible_files(folder: Path) -> Iterator[Path]:
    """All files below a folder that are not hidden, in a stable order."""
    for entry in sorted(folder.iterdir()):
        if is_hidden(entry):
            continue
        if entry.is_dir():
            yield from visible_files(entry)
        else:
            yield entry


def visible_folders(folder: Path) -> list[Path]:
    """The folders directly below, not hidden, sorted by name."""
    return [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and not is_hidden(entry)]


def split_folders(root: Path) -> dict[str, Path]:
    """split -> folder when every folder below root is named after a split, else nothing."""
    folders = visible_folders(root)
    named = {SPLIT_FOLDERS.get(folder.name.lower(), ""): folder for folder in folders}
    return named if folders and "" not in named and len(named) == len(folders) else {}


def frame_samples(sample: Sample) -> list[Sample]:
    """The sample, or one per frame ("name#3") when its DICOM or TIFF file has several; they share their group."""
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
) -> tuple[tuple[str, ...], list[Sample]]:
    """Class names and samples of class folders, below split folders where there are any.

    Args:
        root: the data root; image ids are relative to it.
        classes: the class folders that must be there (others are ignored); None takes all, sorted.
        group: path relative to root -> group id, None for none.
        keep: which files to take.

    Errors: UserError when there is no class, only one, a class without images, or no image at all.
    """
    splits = split_folders(root) or {"": root}
    found = {split: {folder.name: folder for folder in visible_folders(base)} for split, base in splits.items()}
    names = tuple(classes) if classes is not None else tuple(sorted({name for each in found.values() for name in each}))
    if not names:
        raise UserError(str(root), "no class folders in it", "put the images in one folder per class")
    if len(names) == 1:
        raise UserError(str(root), f"only one class, {names[0]!r}", "a classifier needs two or more class folders")
    samples = []
    for split, folders in found.items():
        for label, name in enumerate(names):
            for path in visible_files(folders[name]) if name in folders else ():
                if keep(path):
                    relative = path.relative_to(root)
                    group_id = group(relative) or relative.as_posix()
                    samples += frame_samples(Sample(relative.as_posix(), path, label, group_id, split))
    if not samples:
        raise UserError(str(root), f"no images in the class folders {', '.join(names)}")
    for label, name in enumerate(names):
        if not any(sample.label == label for sample in samples):
            problem = "is empty" if any(name in each for each in found.values()) else "is missing"
            raise UserError(str(root), f"the class folder {name!r} {problem}", "each class needs images")
    return names, samples


def open_folder(path: str, *, group: str | None = None) -> ImageSet:
    """Open class folders.

    Args:
        path: the folder.
        group: a regular expression, searched in the path below the folder; its first group names the patient or lesion.

    Errors: UserError, as class_samples, and for a regular expression that is wrong or has no group.
    """
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

    classes, samples = class_samples(root, group=group_of)
    return ImageSet(root.name or CARD.name, classes, samples, card=CARD)
