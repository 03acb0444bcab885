"""What is known about a data set before a pixel is read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetCard:
    """Paper, license and meaning of a data set.

    Args:
        name: the name before the colon in `medrobust audit --data NAME:PATH`.
        title: what the images show.
        paper: reference with year and DOI or arXiv number, "" for a user's own images.
        license: terms of the source.
        classes: class names in the order of the labels, () when they depend on the path.
        positive_class: the finding that sensitivity counts, None when no class is special.
        group: what a group is ("" when the source names none, so that every image is its own group).
        layout: the files below the path, as the source distributes them.
    """

    name: str
    title: str
    paper: str = ""
    license: str = ""
    classes: tuple[str, ...] = ()
    positive_class: str | None = None
    group: str = ""
    layout: str = ""
