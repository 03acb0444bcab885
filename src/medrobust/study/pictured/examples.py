"""An image, what an attack added to it, and what the classifier then says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...report.measured import mapping
from ...report.pictures import Album
from ...report.words import Budget, number, percent
from .part import NO_PICTURES, Asked, Part, Shown

GALLERY = ("images", "gallery.json")


def examples(asked: Asked) -> Shown:
    """The first image of the gallery that is right untouched and wrong under attack, at the budget or the next."""
    rows = [mapping(row) for row in asked.read(*GALLERY).get("images") or ()]
    if asked.run is None or not rows:
        return (), NO_PICTURES
    classes, album = [str(name) for name in asked.outcome.result["classes"]], Album(asked.run / GALLERY[0])
    for row in rows:
        frame = _broken(row, asked.epsilon)
        if frame is None or row["clean_prediction"] != row["label"]:
            continue
        within = Budget(str(frame["norm"]), float(frame["epsilon"]))
        shown = (
            ("Untouched", row["clean_png"], _read(classes, row["clean_probabilities"], row["clean_prediction"])),
            ("The change", frame["perturbation_png"], f"shown {number(frame['amplification'], 3)} times as strong"),
            (
                f"Within {within.short}",
                frame["adversarial_png"],
                f"{_read(classes, frame['probabilities'], frame['prediction'])}; {frame['attack']}",
            ),
        )
        parts = tuple(Part(title, png=album.read(name), words=words) for title, name, words in shown)
        if all(part.png for part in parts):
            return parts, f"An image of class {classes[row['label']]}."
    return (), NO_PICTURES if album.missing else "no image of its gallery was misled"


def _broken(row: Mapping[str, Any], epsilon: float) -> Mapping[str, Any] | None:
    """The frame in which an image is read wrongly: the first from a budget on, else the last below it."""
    wrong = [frame for frame in row["frames"] if frame["prediction"] != row["label"] and frame.get("attack")]
    above = [frame for frame in wrong if frame["epsilon"] >= epsilon * (1 - 1e-9)]
    return above[0] if above else wrong[-1] if wrong else None


def _read(classes: list[str], probabilities: list[float], answer: int) -> str:
    return f"read as {classes[answer]} ({percent(probabilities[answer], 0)})"
