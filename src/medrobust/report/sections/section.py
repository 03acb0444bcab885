"""What a section of the report is, and what it may look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..measured import Json
from ..pictures import Gallery
from ..words import Budget


@dataclass(frozen=True)
class Seen:
    """The files of a run, and what several sections ask of them.

    Args:
        audit: audit.json.
        run: run.json, {} without one.
        recipe: recipe.yaml, "" without one.
        folder: of the run.
        data_name: of the images.
        num_images: how many.
        budget: the one that the report dwells on.
        pictures: the gallery, None without one.
        anchors: image_id -> where the gallery shows it.
    """

    audit: Json
    run: Json
    recipe: str
    folder: Path
    data_name: str
    num_images: int
    budget: Budget | None
    pictures: Gallery | None
    anchors: Mapping[str, str]


class Section(NamedTuple):
    """A part of the page.

    Args:
        id: of the element; links end with #id.
        title: its heading.
        link: its line in the contents, a word or two.
        template: a Jinja file; it sees what build returns, and the macros of macros.html.j2 after importing them.
        build: Seen -> what the template sees.
    """

    id: str
    title: str
    link: str
    template: Path
    build: Callable[[Seen], dict[str, Any]]
