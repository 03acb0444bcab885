"""Masks that lie among images, told by their names: NAME_mask.png beside NAME.png, or a folder of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...errors import UserError

_WORDS = r"masks?|seg|segmentations?|gt|ground[ _-]?truth|roi|annotations?"
_ENDING = re.compile(rf"(.+?)[ _.-]+({_WORDS})([ _-]?\d+)?", re.IGNORECASE)
_FOLDER = re.compile(_WORDS, re.IGNORECASE)


def named_as_mask(path: Path) -> bool:
    """Whether a path below a data root has the name of a mask.

    Example:
        >>> named_as_mask(Path("benign/7_mask_1.png")), named_as_mask(Path("benign/masks/7.png"))
        (True, True)
        >>> named_as_mask(Path("benign/masked man.png"))
        False
    """
    return bool(_ENDING.fullmatch(path.stem)) or any(_FOLDER.fullmatch(part) for part in path.parts[:-1])


def find_masks(paths: Iterable[Path]) -> list[Path]:
    """The paths below a data root that are named as masks of an image that is there as well."""
    paths = list(paths)
    images = {path.stem for path in paths if not named_as_mask(path)}
    return [path for path in paths if named_as_mask(path) and image_of(path) in images]


def without_masks(root: Path, paths: Sequence[Path], masks: str | None) -> list[Path]:
    """The paths that are images.

    Args:
        root: the data root, for messages.
        paths: relative to it.
        masks: "skip" leaves out what is named as a mask, "keep" leaves out nothing.

    Errors: UserError when there are masks and nobody has said what to do with them.
    """
    if masks == "keep":
        return list(paths)
    if masks == "skip":
        return [path for path in paths if not named_as_mask(path)]
    found = find_masks(paths)
    if found:
        problem = f"{len(found)} files look like masks of images, for example {found[0].as_posix()}"
        fix = "leave them out with data.options.masks=skip, or take them as images with data.options.masks=keep"
        raise UserError(str(root), problem, fix)
    return list(paths)


def image_of(path: Path) -> str:
    """The name of the image that a file is named as a mask of; its own name where it is not."""
    match = _ENDING.fullmatch(path.stem)
    return match[1] if match else path.stem


def is_mask_folder(name: str) -> bool:
    """Whether a folder has the name of a folder of masks."""
    return bool(_FOLDER.fullmatch(name))
