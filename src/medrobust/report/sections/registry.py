"""The sections of the report, in their order. Adding one is a file, its template, and a line in SECTIONS."""

from __future__ import annotations

from . import (
    checks,
    clean,
    curve,
    direction,
    fragile,
    gallery,
    groups,
    not_tested,
    protocol,
    provenance,
    read_from,
    referral,
    words,
)
from .section import Section

SECTIONS: list[Section] = [
    read_from.SECTION,
    curve.SECTION,
    clean.SECTION,
    gallery.SECTION,
    fragile.SECTION,
    direction.SECTION,
    groups.SECTION,
    referral.SECTION,
    checks.SECTION,
    protocol.SECTION,
    not_tested.SECTION,
    provenance.SECTION,
    words.SECTION,
]
