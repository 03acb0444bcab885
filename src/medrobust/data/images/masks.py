"""Masks of lesions, and of anything else that a mask can mark: which pixels of an image it covers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import UserError
from ..files.arrays import WHOLE
from ..files.pixels import BrokenImageError
from ..files.read import num_frames, read_pixels
from .sample import Sample
from .store import Decode
from .view import View, center_crop, pad_to_square, resize

FEW = 16  # different values, up to which a mask holds labels and not grey levels
Masks = Callable[[Sample], np.ndarray | None]
"""A sample -> bool (1, *spatial) at the size of its source; None where it has no mask."""


@dataclass(frozen=True, eq=False)
class ArrayMasks:
    """Masks (n, 1, *spatial) that are in memory; a sample's frame is its row."""

    values: np.ndarray

    def __call__(self, sample: Sample) -> np.ndarray:
        return np.asarray(self.values[sample.frame] != 0)


class ShownMasks:
    """Masks as their images are shown, read at the first request and kept at a bit a pixel.

    Args:
        name: of the set.
        masks: sample -> mask; None where the set has none.
        decode: sample -> its pixels, whose size a mask must have.
        view: how images are shown.

    Example:
        >>> from medrobust.data import open_images
        >>> images = open_images("phantom:ct@32,count=40")
        >>> tuple(images.mask(0).shape), bool(images.mask(0).any()), bool(images.mask(0).all())
        ((1, 32, 32), True, False)
    """

    def __init__(self, name: str, masks: Masks | None, decode: Decode, view: View) -> None:
        self._name, self._masks, self._decode, self._view = name, masks, decode, view
        self._kept: dict[str, tuple[np.ndarray, tuple[int, ...]]] = {}

    def get(self, sample: Sample) -> Tensor:
        """bool (1, *spatial). Errors: UserError where there is none, or it has another size than its image."""
        kept = self._kept.get(sample.image_id)
        if kept is None:
            shown = view_mask(self._read(sample), self._view).numpy()
            kept = self._kept[sample.image_id] = np.packbits(shown), shown.shape
        bits, shape = kept
        return torch.from_numpy(np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape).astype(bool))

    def _read(self, sample: Sample) -> np.ndarray:
        fix = "give a folder of masks, named as the images, as data.mask"
        if self._masks is None:
            raise UserError(self._name, "its images have no masks", fix)
        try:
            found = self._masks(sample)
        except BrokenImageError as error:
            raise UserError(sample.image_id, f"its mask cannot be read: {error}") from error
        if found is None:
            raise UserError(sample.image_id, "has no mask", fix)
        size = self._decode(sample).values.shape[1:]
        if found.shape[1:] != size:
            sizes = " and the image ".join("x".join(map(str, sides)) for sides in (found.shape[1:], size))
            raise UserError(sample.image_id, f"its mask is {sizes}", "give masks in the size of their images")
        return found


def masks_of(given: Any, values: np.ndarray) -> ArrayMasks | None:
    """Masks in memory, (n, 1, *spatial) or (n, *spatial), of images (n, c, *spatial). Errors: UserError for others."""
    if given is None:
        return None
    found = np.asarray(given.cpu() if isinstance(given, Tensor) else given)
    found = found[:, None] if found.ndim == values.ndim - 1 else found
    if found.shape != (len(values), 1, *values.shape[2:]):
        raise UserError("masks", f"have the shape {found.shape} for images {values.shape}", "one channel, same sides")
    return ArrayMasks(found)


def read_mask(path: Path, frame: int = WHOLE) -> np.ndarray:
    """bool (1, *spatial) of a file: what differs from 0 where it holds labels, the brighter half of grey levels.

    Errors: BrokenImageError.
    """
    pixels = read_pixels(path, frame if num_frames(path) > 1 else WHOLE)
    values = pixels.values.max(axis=0, keepdims=True)
    if len(np.unique(values)) <= FEW:
        return np.asarray(values != 0)
    low = 0.0 if pixels.low is None else pixels.low
    high = float(values.max()) if pixels.high is None else pixels.high
    return np.asarray(values > (low + high) / 2)


def join_masks(paths: tuple[Path, ...], frame: int = WHOLE) -> np.ndarray:
    """What any of several masks of one image covers. Errors: BrokenImageError, also when their sizes differ."""
    parts = [read_mask(path, frame) for path in paths]
    if len({part.shape for part in parts}) > 1:
        raise BrokenImageError(f"masks of one image differ in size: {paths[0].name} and {paths[-1].name}")
    return np.asarray(np.logical_or.reduce(parts))


def view_mask(mask: np.ndarray, view: View) -> Tensor:
    """bool (1, *spatial) of a mask shown as its image is: padded or cropped to a square, and resized.

    A pixel of the result is covered where at least half of what it shows is.

    Example:
        >>> half = np.zeros((1, 2, 4), dtype=bool)
        >>> half[..., :2] = True
        >>> view_mask(half, View(image_size=4, fit="pad")).int().tolist()
        [[[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]]
    """
    x = torch.from_numpy(np.ascontiguousarray(mask, dtype=np.float32))
    if view.fit == "pad":
        x = pad_to_square(x)
    elif view.fit == "crop":
        x = center_crop(x)
    if view.image_size is not None:
        x = resize(x, view.image_size)
    return x >= 0.5 - 1e-6
