"""The sections of the report, in their order. Adding one is a file, its template, and a line in SECTIONS."""

from __future__ import annotations

from . import (
    boundary,
    checks,
    clean,
    compare,
    confusion,
    curve,
    direction,
    everyday,
    evidence,
    explain,
    fragile,
    gallery,
    groups,
    images,
    proof,
    protocol,
    read_from,
    referral,
    repeat,
    smallest,
    tested,
    words,
)
from .section import Section

# Whether the numbers hold comes before the numbers: what was tested, the attacks, the images, then the results.
SECTIONS: list[Section] = [
    tested.SECTION,
    proof.SECTION,
    images.SECTION,
    read_from.SECTION,
    clean.SECTION,
    curve.SECTION,
    smallest.SECTION,
    fragile.SECTION,
    direction.SECTION,
    confusion.SECTION,
    everyday.SECTION,
    groups.SECTION,
    referral.SECTION,
    gallery.SECTION,
    explain.SECTION,
    boundary.SECTION,
    compare.SECTION,
    checks.SECTION,
    evidence.SECTION,
    protocol.SECTION,
    repeat.SECTION,
    words.SECTION,
]
