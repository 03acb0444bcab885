"""Which classes and how many images of a set are used."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Sequence

from ..errors import UserError, nearest
from .image_set import ImageSet


def select_classes(images: ImageSet, wanted: Sequence[str]) -> ImageSet:
    """The set with only these classes, in this order.

    An entry is a class name, `new=a+b` (several classes under one name) or `rest` (all classes not named elsewhere),
    so that melanoma against the rest is ["rest", "mel"].

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
    for entry in wanted:
        name, _, parts = entry.partition("=")
        olds = tuple(parts.split("+")) if parts else (name,)
        if name in members:
            raise UserError("data.classes", f"class {name!r} is named twice")
        members[name] = () if entry == "rest" and "rest" not in classes else olds
    named = [old for olds in members.values() for old in olds]
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
    """A stratified subset of `limit` images, chosen by SHA-256(seed, image_id), in the order of the set."""
    if limit < 1:
        raise UserError("data.limit", f"{limit} is not a positive number of images")
    if limit >= len(images):
        return images
    quota = _quotas(Counter(sample.label for sample in images.samples), limit)
    order = sorted(
        range(len(images)),
        key=lambda i: hashlib.sha256(f"{seed}|{images.samples[i].image_id}".encode()).digest(),
    )
    chosen: list[int] = []
    for i in order:
        label = images.samples[i].label
        if quota[label] > 0:
            quota[label] -= 1
            chosen.append(i)
    return images.subset(sorted(chosen))


def _quotas(counts: Counter[int], limit: int) -> dict[int, int]:
    """Largest remainders, and at least one image of every class when the limit allows it."""
    total = sum(counts.values())
    shares = {label: limit * count / total for label, count in counts.items()}
    quota = {label: int(share) for label, share in shares.items()}
    for label in sorted(shares, key=lambda label: (quota[label] - shares[label], label))[: limit - sum(quota.values())]:
        quota[label] += 1
    for label in sorted(quota):
        richest = max(quota, key=lambda other: (quota[other], -other))
        if quota[label] == 0 and quota[richest] > 1:
            quota[label], quota[richest] = 1, quota[richest] - 1
    return quota
