"""The check of a set of images before anything is trained or measured on it."""

from __future__ import annotations

from ...findings import Finding
from ..images.image_set import ImageSet
from ..images.store import Progress
from .counts import balance, corrupt, counts
from .duplicates import duplicates
from .facts import collect
from .identifiers import dicom_identifiers
from .leakage import leakage
from .shortcuts import shortcuts


def check_images(images: ImageSet, *, seed: int = 0, progress: Progress | None = None) -> list[Finding]:
    """Counts, duplicates, leakage, labels, balance, shortcuts, damage and identifiers of a set.

    Every file is decoded once at its own resolution. Give the set with all its splits (list_images, or open_images with
    split="all"): what is checked in one split alone cannot show leakage.

    Args:
        images: the set.
        seed: of the image-level split that is tried out and of the cross-validation.
        progress: called with (images done, images in all).

    Example:
        >>> from medrobust.testing.image_sets import tiny_set
        >>> findings = check_images(tiny_set(40))
        >>> [finding.id for finding in findings if finding.severity == "fail"]  # one class is brighter
        ['data-shortcuts']
    """
    facts, broken = collect(images, progress)
    return [
        counts(images, facts),
        corrupt(images, broken),
        *duplicates(images, facts),
        *leakage(images, seed),
        balance(images),
        shortcuts(facts, seed),
        dicom_identifiers(images),
    ]
