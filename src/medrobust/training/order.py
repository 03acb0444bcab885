"""Which image when: a function of (seed, epoch) alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from ..data.images.batch import Batch
from ..data.images.image_set import ImageSet
from ..data.images.loading import batches


def derived_seed(seed: int, *labels: int | str) -> int:
    """A seed for one purpose, e.g. derived_seed(0, "order", epoch); below 2**63."""
    digest = hashlib.blake2b(repr((seed, *labels)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def epoch_order(labels: Tensor, seed: int, epoch: int, *, balance: bool = False) -> Tensor:
    """(n,) positions of the images in the order of this epoch.

    With balance, an epoch of the same length shows every class equally often: the images of a class are gone through
    in random order, again and again where they are few.

    Example:
        >>> labels = torch.tensor([0, 0, 0, 0, 0, 1])
        >>> labels[epoch_order(labels, seed=0, epoch=3, balance=True)].float().mean()
        tensor(0.5000)
    """
    generator = torch.Generator().manual_seed(derived_seed(seed, "order", epoch))
    n = len(labels)
    if not balance:
        return torch.randperm(n, generator=generator)
    classes = labels.unique()
    drawn = []
    for number, label in enumerate(classes):
        members = (labels == label).nonzero()[:, 0]
        share = n // len(classes) + (number < n % len(classes))
        rounds = [members[torch.randperm(len(members), generator=generator)] for _ in range(-(-share // len(members)))]
        drawn.append(torch.cat(rounds)[:share])
    chosen = torch.cat(drawn)
    return chosen[torch.randperm(n, generator=generator)]


def num_batches(num_images: int, batch_size: int, world_size: int = 1) -> int:
    """Full batches in an epoch; what is left over waits for another epoch, as one image alone breaks batch norm."""
    return num_images // (batch_size * world_size)


def training_batches(
    images: ImageSet,
    order: Tensor,
    batch_size: int,
    *,
    start: int = 0,
    rank: int = 0,
    world_size: int = 1,
    num_workers: int = 0,
) -> Iterator[Batch]:
    """This process's batches of an epoch from batch number `start` on; earlier ones are never loaded.

    The processes of a group deal a joint batch out image by image, so that together they see what one process with a
    world_size times larger batch would.
    """
    joint = batch_size * world_size
    part = order[start * joint : num_batches(len(order), batch_size, world_size) * joint][rank::world_size]
    if not len(part):
        return
    for batch in batches(images.subset(part.tolist()), batch_size, num_workers=num_workers):
        yield batch._replace(index=part[batch.index])
