"""From a set of images to checked images and batches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset

from ..errors import UserError
from .batch import Batch
from .image_set import ImageSet
from .pixels import BrokenImageError
from .sample import Sample

Progress = Callable[[int, int], None]


def verify(images: ImageSet, *, skip_broken: bool = False, progress: Progress | None = None) -> ImageSet:
    """Decode every image once, in threads, so that a run stops before it starts.

    Returns the set without its broken files, which are then in .broken.
    Errors: UserError naming the first broken file and the number of others, unless skip_broken.
    """
    broken: dict[str, str] = {}
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for done, (sample, reason) in enumerate(pool.map(lambda s: (s, _fault(images, s)), images.samples), start=1):
            if reason:
                broken[sample.image_id] = reason
            if progress:
                progress(done, len(images))
    if not broken:
        return images
    if not skip_broken:
        first, reason = next(iter(broken.items()))
        path = next(str(s.path) for s in images.samples if s.image_id == first)
        others = f" (and {len(broken) - 1} more broken files)" if len(broken) > 1 else ""
        raise UserError(
            path, f"cannot be read: {reason}{others}", "repair or remove it, or go on without it: --skip-broken"
        )
    kept = tuple(sample for sample in images.samples if sample.image_id not in broken)
    if not kept:
        raise UserError(images.name, f"all {len(broken)} files are broken")
    return images.replace(samples=kept, broken=images.broken + tuple(broken.items()))


def _fault(images: ImageSet, sample: Sample) -> str:
    try:
        images.store.get(sample)
    except BrokenImageError as error:
        return str(error)
    return ""


class _Batches(Dataset[Batch]):
    """An image set indexed by lists of positions."""

    def __init__(self, images: ImageSet) -> None:
        self._images = images

    def __getitem__(self, indices: Sequence[int]) -> Batch:
        items = [self._images[i] for i in indices]
        shapes = {tuple(x.shape): self._images.samples[i].image_id for x, _, i in items}
        if len(shapes) > 1:
            sizes = ", ".join(f"{name} {'x'.join(map(str, shape[1:]))}" for shape, name in list(shapes.items())[:2])
            raise UserError(
                "data.image_size", f"images differ in size ({sizes})", "set data.image_size, for example 224"
            )
        xs, ys, positions = zip(*items, strict=True)
        return Batch(torch.stack(xs), torch.tensor(ys, dtype=torch.long), torch.tensor(positions, dtype=torch.long))


def batches(
    images: ImageSet, batch_size: int, *, num_workers: int = 0, shuffle_seed: int | None = None
) -> DataLoader[Batch]:
    """Batches in the order of the set, or in the order that shuffle_seed gives; the workers change nothing but speed.

    Example:
        >>> from medrobust.data.testing import tiny_set
        >>> [len(batch.y) for batch in batches(tiny_set(num_images=5), 2)]
        [2, 2, 1]
    """
    if batch_size < 1:
        raise UserError("batch_size", f"{batch_size} is not a positive number")
    order: Sequence[int] = range(len(images))
    if shuffle_seed is not None:
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(shuffle_seed)).tolist()
    sampler = BatchSampler(order, batch_size, drop_last=False)
    return DataLoader(_Batches(images), batch_size=None, sampler=sampler, num_workers=num_workers)


def iterate(images: ImageSet) -> Iterator[tuple[Sample, torch.Tensor]]:
    """Samples with their images, in order."""
    for i, sample in enumerate(images.samples):
        yield sample, images[i][0]
