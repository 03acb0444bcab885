"""What the first pooling layer leaves of a change, of audits with explain=on."""

from __future__ import annotations

from ...auditing.explained import EXPLAIN, PICTURES
from ...report.measured import estimate, mapping
from ...report.pictures import Album
from ...report.sections.explain import number
from .part import NO_PICTURES, Asked, Part, Shown

MOST = 3  # images


def residual(asked: Asked) -> Shown:
    """Residual maps of the first images, and how large the change is before and after the layer."""
    found = asked.read(EXPLAIN)
    if not found:
        return (), "its audit was not asked for maps (explain=on)"
    row = mapping(found.get("residual"))
    if not row:
        return (), str(found.get("reason") or "no pooling layer was found, or its audit is of an older version")
    before, after, both = (number(estimate(row.get(key))) for key in ("before", "after", "after_less_before"))
    said = (
        f"{row['layer']}, {row['num_images']} images: relative change of the features {before} before the layer, "
        f"{after} after it, difference {both}."
    )
    album = None if asked.run is None else Album(asked.run / PICTURES)
    pictures = [album.read(one.get("png")) for one in list(row.get("pictures") or ())[:MOST]] if album else []
    parts = tuple(Part(f"Residual map {i}", png=png) for i, png in enumerate(pictures, 1) if png)
    return parts, said if parts else f"{said} {NO_PICTURES}"
