"""Images that are rows of a large array file, which is read once per process."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path

import numpy as np

from ..files.arrays import as_pixels, check_npz
from ..files.kinds import kind_of
from ..files.pixels import BrokenImageError, Pixels
from ..images.hashes import file_state
from ..images.sample import Sample


def per_version(load: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Keep the last arrays that were loaded, each for as long as its file does not change."""
    kept = lru_cache(maxsize=6)(lambda path, state, *rest: load(path, *rest))
    return wraps(load)(lambda path, *rest: kept(path, file_state(path), *rest))


@per_version
def npz_array(path: Path, key: str) -> np.ndarray:
    """One array of a .npz file. Errors: BrokenImageError for another kind of file, or an impossible header."""
    if kind_of(path) != "npz":
        raise BrokenImageError("not a .npz file")
    check_npz(path)
    with np.load(path, allow_pickle=False) as arrays:
        return np.asarray(arrays[key])


def decode_npz_row(sample: Sample) -> Pixels:
    """Row `frame` of the array SPLIT_images, where the image_id is "SPLIT/number": grey, RGB or a volume.

    Errors: BrokenImageError.
    """
    assert sample.path is not None
    try:
        row = npz_array(sample.path, f"{sample.image_id.split('/')[0]}_images")[sample.frame]
    except Exception as error:  # zip, zlib and pickle each have their own
        raise BrokenImageError(str(error) or type(error).__name__) from error
    color = row.ndim == 3 and row.shape[-1] == 3 and row.shape[0] != 3
    try:
        return as_pixels(row if row.ndim < 3 or color else row[None])
    except ValueError as error:
        raise BrokenImageError(str(error)) from error


@per_version
def mapped(path: Path, offset: int, shape: tuple[int, ...]) -> np.ndarray:
    """The bytes of a file from an offset on as a uint8 array, not read until they are used."""
    return np.memmap(path, dtype=np.uint8, mode="r", offset=offset, shape=shape)
