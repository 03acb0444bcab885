"""Which classes and how many images of a set are used."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence

from ...errors import UserError, nearest
from ..images.image_set import ImageSet
from .entries import exact_names, read_entry

__all__ = ["balance_classes", "cap_classes", "exact_names", "limit_images", "select_classes"]


def select_classes(images: ImageSet, wanted: Sequence[str]) -> ImageSet:
    """The set with only these classes, in this order.

    An entry is a class name, `new=a+b` (several classes under one name) or `rest` (all classes not named elsewhere),
    so that melanoma against the rest is ["rest", "mel"]; `-name` keeps a class out of the rest. A name in quotes is
    never a rule, and so is a name that the set has: exact_names quotes those that a program knows, such as the classes
    of a model.

    Errors: UserError for an unknown or repeated class, or fewer than two.
    """
    members = _members(images.classes, wanted)
    position = {images.classes.index(old): i for i, olds in enumerate(members.values()) for old in olds}
    samples = tuple(
        dataclasses.replace(sample, label=position[sample.label])
        for sample in images.samples
        if sample.label in position
    )
    positive = images.card.positive_class
    renamed = next((new for new, olds in members.items() if positive in olds and new != "rest"), None)
    card = dataclasses.replace(images.card, classes=tuple(members), positive_class=renamed)
    return images.replace(classes=tuple(members), samples=samples, card=card)


def _members(classes: Sequence[str], wanted: Sequence[str]) -> dict[str, tuple[str, ...]]:
    members: dict[str, tuple[str, ...]] = {}
    dropped: list[str] = []
    for text in wanted:
        entry = read_entry(text, classes)
        if entry.dropped:
            dropped.append(entry.name)
            continue
        if entry.name in members:
            raise UserError("data.classes", f"class {entry.name!r} is named twice")
        members[entry.name] = entry.members
    named = [old for olds in members.values() for old in olds] + dropped
    for old, count in Counter(named).items():
        if old not in classes:
            raise UserError("data.classes", f"unknown class {old!r}", nearest(old, classes))
        if count > 1:
            raise UserError("data.classes", f"class {old!r} is used twice")
    members = {name: olds or tuple(c for c in classes if c not in named) for name, olds in members.items()}
    if len(members) < 2 or not all(members.values()):
        raise UserError("data.classes", "fewer than two classes are left", f"valid: {', '.join(classes)}")
    return members


def limit_images(images: ImageSet, limit: int, seed: int) -> ImageSet:
    """A subset of `limit` images, stratified by split and class, chosen by seed, in the order of the set.

    Errors: UserError when limit < 1.
    """
    if limit < 1:
        raise UserError("data.limit", f"{limit} is not a positive number of images")
    if limit >= len(images):
        return images
    quota = _quotas(Counter((sample.split, sample.label) for sample in images.samples), limit)
    chosen: list[int] = []
    for i in _order(images, seed):
        key = (images.samples[i].split, images.samples[i].label)
        if quota[key] > 0:
            quota[key] -= 1
            chosen.append(i)
    return images.subset(sorted(chosen))


def cap_classes(images: ImageSet, cap: int | Mapping[str, int], seed: int) -> ImageSet:
    """At most `cap` images of every class in every split, or in the splits that a mapping names ({"train": 800}).

    The images are chosen by seed and stay in their order.

    Errors: UserError for a cap below 1.
    """
    for number in [cap] if isinstance(cap, int) else cap.values():
        if number < 1:
            raise UserError("data.cap", f"{number} is not a positive number of images")
    room: dict[tuple[str, int], float] = {}
    chosen = []
    for i in _order(images, seed):
        key = (images.samples[i].split, images.samples[i].label)
        room.setdefault(key, cap if isinstance(cap, int) else cap.get(key[0], math.inf))
        if room[key] > 0:
            room[key] -= 1
            chosen.append(i)
    return images.subset(sorted(chosen))


def balance_classes(images: ImageSet, seed: int) -> ImageSet:
    """As many images of every class as the rarest class has, split by split.

    As in Joel et al. 2021, doi:10.1101/2021.01.17.21249704.
    """
    counts = Counter((sample.split, sample.label) for sample in images.samples)
    least: dict[str, int] = {}
    for (split, _), count in counts.items():
        least[split] = min(count, least.get(split, count))
    return cap_classes(images, least, seed)


def _order(images: ImageSet, seed: int) -> list[int]:
    """Positions in the order of SHA-256("choose", seed, image_id): the same choice whatever else is in the set.

    The word keeps the choice apart from the splits, which hash seed and group: else a limit would take all of train
    first.
    """
    keys = [hashlib.sha256(f"choose|{seed}|{sample.image_id}".encode()).digest() for sample in images.samples]
    return sorted(range(len(images)), key=keys.__getitem__)


def _quotas(counts: Counter[tuple[str, int]], limit: int) -> dict[tuple[str, int], int]:
    """Images of each (split, class) by largest remainders, and at least one of each when the limit allows it."""
    total = sum(counts.values())
    shares = {key: limit * count / total for key, count in counts.items()}
    quota = {key: int(share) for key, share in shares.items()}
    for key in sorted(shares, key=lambda key: (quota[key] - shares[key], key))[: limit - sum(quota.values())]:
        quota[key] += 1
    for key in sorted(quota):
        richest = max(sorted(quota), key=lambda other: quota[other])
        if quota[key] == 0 and quota[richest] > 1:
            quota[key], quota[richest] = 1, quota[richest] - 1
    return quota
