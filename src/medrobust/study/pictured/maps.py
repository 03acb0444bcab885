"""What a classifier looks at, before and after the smallest change that misled it, of audits with explain=on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...auditing.explained import EXPLAIN, PICTURES
from ...report.measured import estimate, mapping
from ...report.pictures import Album
from ...report.sections.explain import number
from .part import NO_PICTURES, Asked, Part, Shown

MOST = 2  # images


def maps(asked: Asked) -> Shown:
    """The map of the first images, untouched and attacked, and how far the two differ on average."""
    found = asked.read(EXPLAIN)
    rows = [mapping(one) for one in found.get("maps") or ()]
    row = next((one for one in rows if one.get("name") == asked.map), None)
    if not found:
        return (), "its audit was not asked for maps (explain=on)"
    if row is None or row.get("reason"):
        return (), str((row or {}).get("reason") or found.get("reason") or f"no map {asked.map} was made")
    tested = mapping(row.get("sanity"))
    said = f"{row['num_images']} images{_agreed(mapping(row.get('agreement')))}.{_inside(mapping(row.get('lesion')))}"
    if tested.get("verdict") != "passed":
        why = tested.get("reason") or f"rank correlation with the map of new weights {_correlation(tested)}"
        return (), f"{said} The map {tested.get('verdict')} the sanity test ({why}): its pictures are no evidence."
    classes = [str(name) for name in found.get("classes") or ()]
    parts = [] if asked.run is None else _parts(row, classes, Album(asked.run / PICTURES))
    return tuple(parts), said if parts else f"{said} {NO_PICTURES}"


def _agreed(agreement: Mapping[str, Any]) -> str:
    ssim, rank = (number(estimate(agreement.get(key))) for key in ("ssim", "rank_correlation"))
    return f": before and after the change SSIM {ssim}, rank correlation {rank}" if agreement else ""


def _inside(lesion: Mapping[str, Any]) -> str:
    """How much of a map lies inside the lesion, where there are masks."""
    found = mapping(lesion.get("mass"))
    if not found:
        return ""
    clean, chance, attacked = (number(estimate(found.get(key))) for key in ("clean", "chance", "attacked"))
    return f" Inside the lesion lie {clean} of the map, {attacked} after the change, {chance} by chance."


def _correlation(tested: Mapping[str, Any]) -> str:
    return number(estimate(tested.get("rank_correlation")))


def _parts(row: Mapping[str, Any], classes: list[str], album: Album) -> list[Part]:
    parts = []
    for picture in list(row.get("pictures") or ())[:MOST]:
        for title, kind, answer in (("Untouched", "clean", "answer"), ("Changed", "attacked", "answer_attacked")):
            png = album.read(picture.get(f"{kind}_png"))
            if png:
                parts.append(Part(title, png=png, words=f"read as {classes[picture[answer]]}"))
    return parts
