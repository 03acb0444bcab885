"""From a set of images to checked images and batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset

from ...errors import UserError
from .batch import Batch
from .cache import open_store
from .image_set import ImageSet
from .store import Progress, find_extremes


def verify(images: ImageSet, *, skip_broken: bool = False, progress: Progress | None = None) -> ImageSet:
    """Decode every image once, or find it in the cache, so that a run stops before it starts.

    Returns the set without its broken files, which are then in .broken.

    Errors: UserError naming the first broken file and the number of others, unless skip_broken.
    """
    store, broken = open_store(images.samples, images.decode, images.view, progress)
    if not broken:
        return _stretched(images.replace(store=store), progress)
    if not skip_broken:
        first, reason = next(iter(broken.items()))
        path = next(str(s.path) for s in images.samples if s.image_id == first)
        others = f" (and {len(broken) - 1} more broken files)" if len(broken) > 1 else ""
        fix = "repair or remove it, or go on without it: --skip-broken"
        raise UserError(path, f"cannot be read: {reason}{others}", fix)
    kept = tuple(sample for sample in images.samples if sample.image_id not in broken)
    if not kept:
        raise UserError(images.name, f"all {len(broken)} files are broken")
    images = images.replace(samples=kept, broken=images.broken + tuple(broken.items()), store=store)
    return _stretched(images, progress)


def _stretched(images: ImageSet, progress: Progress | None) -> ImageSet:
    """The set with its extremes when the view asks for them, looked for in decoded images."""
    if images.view.scale != "set" or images.has_extremes:
        return images
    part = images.training_part()
    held = {sample.image_id for sample in images.samples}
    known = all(sample.image_id in held for sample in part)
    store = images.store if known else open_store(part, images.decode, images.view, progress)[0]
    return images.replace(extremes=find_extremes(part, store))


class _Batches(Dataset[Batch]):
    """An image set indexed by lists of positions."""

    def __init__(self, images: ImageSet) -> None:
        self._images = images

    def __getitem__(self, indices: Sequence[int]) -> Batch:
        return self._images.batch(indices)


def batches(
    images: ImageSet, batch_size: int, *, num_workers: int = 0, shuffle_seed: int | None = None
) -> DataLoader[Batch]:
    """Batches in the order of the set, or in the order that shuffle_seed gives; the workers change nothing but speed.

    Errors: UserError when batch_size < 1.

    Example:
        >>> from medrobust.testing.image_sets import tiny_set
        >>> [len(batch.y) for batch in batches(tiny_set(num_images=5), 2)]
        [2, 2, 1]
    """
    if batch_size < 1:
        raise UserError("batch_size", f"{batch_size} is not a positive number")
    order: Sequence[int] = range(len(images))
    if shuffle_seed is not None:
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(shuffle_seed)).tolist()
    sampler = BatchSampler(order, batch_size, drop_last=False)
    # A generator of its own: otherwise a loader draws the seed of its workers from the global one.
    own = torch.Generator().manual_seed(0)
    return DataLoader(_Batches(images), batch_size=None, sampler=sampler, num_workers=num_workers, generator=own)
