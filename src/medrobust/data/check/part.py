"""The check of the images that something is measured on, as a part of the set that they come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ...findings import Finding
from ..files.arrays import real_valued
from ..files.pixels import Pixels
from ..images.image_set import ImageSet
from ..images.sample import Sample
from ..images.store import Progress
from .counts import balance, counts
from .duplicates import duplicates
from .facts import collect
from .identifiers import dicom_identifiers
from .leakage import group_leakage, groups_known
from .shortcuts import shortcuts

MAX_PICTURES = 12_000  # of the whole set: decoding and comparing them takes about a minute


def check_part(images: ImageSet, *, seed: int = 0, progress: Progress | None = None) -> list[Finding]:
    """What check_images asks, about these images: among themselves, and against the other splits of their set.

    Duplicates and groups are looked for in images.whole; balance, sizes and shortcuts in the images alone. The pictures
    of other splits are not compared when the set has more than MAX_PICTURES, or when no file holds them; the evidence
    says so.

    Args:
        images: as open_images gives them.
        seed: of the cross-validation.
        progress: called with (images done, images in all).

    Example:
        >>> from medrobust.testing.image_sets import tiny_set
        >>> {finding.id: finding.severity for finding in check_part(tiny_set(40))}["data-exact-duplicates"]
        'pass'
    """
    own = {sample.image_id for sample in images.samples}
    others = [sample for sample in images.whole if sample.image_id not in own]
    compared = len(images.whole) <= MAX_PICTURES and all(sample.path is not None for sample in others)
    everything = [*(s for s in images.whole or images.samples if s.image_id in own), *(others if compared else [])]
    decode = images.decode if all(sample.path is not None for sample in everything) else _Rendered(images)
    facts, _ = collect(images.replace(samples=everything, decode=decode), progress)
    mine = [fact for fact in facts if fact.sample.image_id in own]
    found = duplicates(images, facts, own)
    if others and not compared:
        note = f"; the {len(others)} other images of the set were not compared"
        found = [dataclasses.replace(finding, evidence=finding.evidence + note) for finding in found]
    return [
        counts(images, mine),
        *found,
        groups_known(images),
        group_leakage(_related(images, own, others)),
        balance(images),
        shortcuts(mine, seed),
        dicom_identifiers(images),
    ]


@dataclasses.dataclass(frozen=True)
class _Rendered:
    """The decode function of images that are made and not read: those that were measured are in the store."""

    images: ImageSet

    def __call__(self, sample: Sample) -> Pixels:
        values, source = self.images.store.get(sample)
        if values.dtype.kind == "f":
            return real_valued(values, source.bits)
        return Pixels(values, source.bits, 0.0, 255.0 if values.dtype == np.uint8 else 65535.0)


def _related(images: ImageSet, own: set[str], others: Sequence[Sample]) -> list[Sample]:
    """The images, and those of other splits that share a group with one of them."""
    mine = [sample for sample in images.whole if sample.image_id in own] or list(images.samples)
    groups, splits = {sample.group_id for sample in mine}, {sample.split for sample in mine}
    return [*mine, *(sample for sample in others if sample.group_id in groups and sample.split not in splits)]
