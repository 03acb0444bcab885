"""Checks of the images that were used."""

from __future__ import annotations

import numpy as np

from ...findings import Finding
from ...records.intervals import Grouping
from ...records.records import Records
from ..context import Context

WIDEST = 0.10  # half-width of an interval that still says something


def enough_images(records: Records, context: Context) -> Finding:
    """The interval of the clean accuracy is narrow enough, and every class has some images.

    Wilson 1927, doi:10.1080/01621459.1927.10502953; with several images per patient, of the effective number of images.
    """
    clean = records.clean
    right = clean["clean_prediction"] == clean["label"]
    found = Grouping(clean["group_id"]).mean(right)
    half = (found.high - found.low) / 2
    counts = np.bincount(clean["label"], minlength=len(context.images.classes))
    title = "Are there enough images?"
    named = ", ".join(f"{n} {name}" for n, name in zip(counts.tolist(), context.images.classes, strict=True))
    evidence = f"{len(clean)} images ({named}); the clean accuracy is known to +- {half:.3f}"
    if half <= WIDEST and counts.min() >= 10:
        return Finding("enough-images", "pass", title, evidence)
    advice = "Use more images, at least ten of each class, before comparing numbers."
    return Finding("enough-images", "warn", title, evidence, advice)


def broken_files(records: Records, context: Context) -> Finding:
    """Files that could not be read and were left out."""
    broken = context.images.broken
    title = "Could every image file be read?"
    if not broken:
        return Finding("broken-files", "pass", title, f"{len(context.images)} of {len(context.images)}")
    names = ", ".join(name for name, _ in broken[:5]) + (", ..." if len(broken) > 5 else "")
    return Finding("broken-files", "warn", title, f"{len(broken)} left out: {names}", "Repair or remove them.")
