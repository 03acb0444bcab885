"""What the classifier looks at, before and after the change that misled it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...files import read_json
from ..layers import layers_chart
from ..measured import Estimate, Json, estimate, mapping
from ..pictures import Album
from ..words import counted
from .section import Section, Seen

PICTURE_CHARACTERS = 2_000_000  # of base64 for this section; maps after that have their numbers alone
MEASURES = (("ssim", "SSIM"), ("rank_correlation", "Rank correlation"), ("shift", "Shift of the center, pixels"))
INSIDE = (("mass", "Relevance inside"), ("pointing", "Strongest point inside"))
COLUMNS = ("clean", "attacked", "chance", "middle", "clean_over_chance", "clean_over_middle", "attacked_less_clean")


def number(found: Estimate | None) -> str:
    """A number with its interval.

    Example:
        >>> number(Estimate(0.5, 0.25, 0.75)), number(None)
        ('0.50 [0.25, 0.75]', 'n/a')
    """
    if found is None or found.value is None:
        return "n/a"
    if found.low is None or found.high is None:
        return f"{found.value:.2f}"
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _read(folder: Path) -> Json:
    path = folder / "explain.json"
    return mapping(read_json(path)) if path.is_file() else {}


def _pictures(row: Json, album: Album, classes: list[str], room: int) -> list[dict[str, Any]]:
    rows = list(row.get("pictures") or ())
    if album.size(r[key] for r in rows for key in ("clean_png", "attacked_png")) > room:
        return []
    found = []
    for r in rows:
        clean, attacked = album.read(r["clean_png"]), album.read(r["attacked_png"])
        if clean and attacked:
            names = [classes[r[key]] for key in ("answer", "answer_attacked")]
            found.append({"image_id": r["image_id"], "clean": clean, "attacked": attacked, "answers": names})
    return found


def _pooled(found: Json) -> dict[str, Any] | None:
    """The change at the first pooling layer; None where it was not measured."""
    row = mapping(found.get("residual"))
    if not row:
        return None
    numbers = {key: number(estimate(row.get(key))) for key in ("before", "after", "after_less_before")}
    return {"layer": row["layer"], "count": counted(int(row["num_images"]), "image"), **numbers}


def build(seen: Seen) -> dict[str, Any]:
    """What the template shows."""
    found = _read(seen.folder)
    classes = [str(name) for name in found.get("classes") or ()]
    album, room = Album(seen.folder / "explain"), PICTURE_CHARACTERS
    rows, lesions, said = [], [], []
    for row in found.get("maps") or ():
        tested = mapping(row.get("sanity"))
        pictures = _pictures(row, album, classes, room) if tested.get("verdict") == "passed" else []
        room -= sum(len(p["clean"]) + len(p["attacked"]) for p in pictures)
        agreed = mapping(row.get("agreement"))
        rows.append(
            {
                "title": row["title"],
                "reason": row.get("reason", ""),
                "count": row.get("num_images"),
                "verdict": tested.get("verdict", ""),
                "why": tested.get("reason", ""),
                "correlation": number(estimate(tested.get("rank_correlation"))),
                "measures": [number(estimate(agreed.get(key))) for key, _ in MEASURES],
                "pictures": pictures,
            }
        )
        inside = mapping(row.get("lesion"))
        for key, name in INSIDE if inside and tested.get("verdict") == "passed" else ():
            values = [number(estimate(mapping(inside[key]).get(column))) for column in COLUMNS]
            lesions.append({"title": row["title"], "measure": name, "count": inside["num_images"], "cells": values})
        if inside and tested.get("verdict") == "passed" and inside.get("looks"):
            said.append(f"{row['title']} {mapping(inside['looks'])['words']}.")
    return {
        "found": found,
        "reason": found.get("reason", ""),
        "images": counted(int(found.get("num_images") or 0), "image"),
        "names": [name for _, name in MEASURES],
        "rows": rows,
        "lesions": lesions,
        "chart": layers_chart(found.get("maps") or (), float(found.get("threshold") or 0.5)),
        "pooled": _pooled(found),
        "looks": mapping(found.get("looks")).get("words", ""),
        "said": said,
        "failed": [row["title"] for row in rows if row["verdict"] == "failed"],
    }


SECTION = Section(
    "explain", "What the classifier looks at", "What it looks at", Path(__file__).with_suffix(".html.j2"), build
)
