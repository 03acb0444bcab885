"""Mask files of the images of a set, found by their names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np

from ...errors import UserError
from ..images.masks import join_masks
from ..images.sample import Sample
from .masks import image_of, is_mask_folder, named_as_mask

_READ = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".dcm", ".npy", ".npz"}


@dataclass(frozen=True)
class MaskFiles:
    """Masks among the files below a folder: NAME_mask.png, or NAME.png in a folder of masks, is one of the image NAME.

    Where several images have that name, the mask is that of the image in the same folder, folders of masks left out.
    Files are looked for at the first request, for most runs need none.

    Args:
        root: the folder.
        image_ids: of the images.
        files: folder -> all files below it.
        all_masks: every file there is a mask; otherwise only those that are named so.
    """

    root: Path
    image_ids: tuple[str, ...]
    files: Callable[[Path], Iterator[Path]]
    all_masks: bool = False

    @staticmethod
    def beside(root: Path, samples: Sequence[Sample], files: Callable[[Path], Iterator[Path]]) -> MaskFiles:
        """The masks among the files of a set."""
        return MaskFiles(root, tuple(sample.image_id for sample in samples), files)

    @staticmethod
    def of_folder(root: Path, samples: Sequence[Sample], files: Callable[[Path], Iterator[Path]]) -> MaskFiles:
        """A folder of nothing but masks. Errors: UserError where it has none of these images."""
        masks = MaskFiles(root, tuple(sample.image_id for sample in samples), files, True)
        if not masks.found:
            raise UserError("data.mask", f"no file in {root} has the name of an image", "name masks as their images")
        return masks

    def __call__(self, sample: Sample) -> np.ndarray | None:
        paths = self.found.get(_without_frame(sample.image_id))
        return None if paths is None else join_masks(paths, sample.frame)

    @cached_property
    def found(self) -> dict[str, tuple[Path, ...]]:
        """image_id -> its masks."""
        by_name: dict[str, list[str]] = defaultdict(list)
        for image_id in dict.fromkeys(map(_without_frame, self.image_ids)):
            by_name[PurePosixPath(image_id).stem].append(image_id)
        found: dict[str, list[Path]] = defaultdict(list)
        for file in self.files(self.root):
            relative = file.relative_to(self.root)
            if file.suffix.lower() not in _READ or not (self.all_masks or named_as_mask(relative)):
                continue
            named = by_name.get(image_of(relative)) or by_name.get(relative.stem, [])
            if len(named) > 1:
                folder = [part for part in relative.parts[:-1] if not is_mask_folder(part)]
                named = [one for one in named if _folders(one) == folder]
            if len(named) == 1:
                found[named[0]].append(file)
        return {image_id: tuple(files) for image_id, files in found.items()}


def _without_frame(image_id: str) -> str:
    return image_id.partition("#")[0]


def _folders(image_id: str) -> list[str]:
    return list(PurePosixPath(image_id).parts[:-1])
