"""Facts of a set, kept in the cache folder: a second audit of the same files decodes them no more."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ...errors import UserError
from ...files import write_with
from ..images.cache import cache_folder, decoding_version
from ..images.image_set import ImageSet
from ..images.view import View

FILE = "facts.npz"
Row = Mapping[str, Any]


def place(images: ImageSet, code: str) -> Path | None:
    """The file for the facts of these images, whatever their order; None where nothing is cached.

    Args:
        images: the set; the content of its files and what decodes them are in the name.
        code: name of the module that makes the facts; its text is in the name too.
    """
    samples = sorted(images.samples, key=lambda sample: sample.image_id)
    folder = cache_folder(samples, images.decode, View(), f"-facts-{decoding_version(code)[:12]}")
    return None if folder is None else folder / FILE


def recall(path: Path) -> tuple[dict[str, Row], dict[str, str]] | None:
    """image_id -> fields of its facts, and image_id -> reason of broken ones; None where no whole file is there."""
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            said, thumbnails = json.loads(file["said"].tobytes()), file["thumbnails"]
        rows = zip(said["facts"], thumbnails, strict=True)
        return {name: row | {"thumbnail": small} for (name, row), small in rows}, said["broken"]
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
        return None


def remember(path: Path, facts: Sequence[tuple[str, Row]], broken: Mapping[str, str]) -> None:
    """Keep facts for the next time. Best effort: without it the files are decoded again."""
    plain = [(name, {key: value for key, value in row.items() if key != "thumbnail"}) for name, row in facts]
    said = np.frombuffer(json.dumps({"facts": plain, "broken": dict(broken)}).encode(), np.uint8)
    thumbnails = np.stack([row["thumbnail"] for _, row in facts]) if facts else np.zeros((0, 1), np.float16)

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            np.savez(file, said=said, thumbnails=thumbnails)

    try:
        write_with(path, write)
    except UserError:
        return
