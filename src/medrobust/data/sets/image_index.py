"""Images that a table names by a stem, somewhere below a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from ...errors import UserError
from .folder import visible_files

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".dcm"})


def index_images(root: Path, keep: Callable[[Path], bool] = lambda path: True) -> dict[str, Path]:
    """stem -> path of every image below root. Errors: UserError when two images have the same stem."""
    found: dict[str, Path] = {}
    for path in visible_files(root):
        if path.suffix.lower() in PICTURES and keep(path):
            other = found.setdefault(path.stem, path)
            if other != path:
                fix = "keep one of them"
                raise UserError(str(root), f"{other.relative_to(root)} and {path.relative_to(root)} have one name", fix)
    if not found:
        raise UserError(str(root), "no images in it")
    return found


def locate(stems: Iterable[str], images: dict[str, Path], root: Path, table: Path) -> dict[str, Path]:
    """The image of every stem; one that is missing gets the path where it would be, so that it is reported as broken.

    Errors: UserError when none of the stems has an image.
    """
    stems = list(stems)
    if not any(stem in images for stem in stems):
        raise UserError(
            str(root), f"none of the {len(stems)} images of {table.name} is in it", "unpack the images there"
        )
    some = next(iter(images.values()))
    return {stem: images.get(stem, some.with_name(stem + some.suffix)) for stem in stems}
