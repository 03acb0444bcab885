"""Where decoded images are kept, so that an image is decoded once in a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from .pixels import Pixels, SourceRange
from .sample import Sample
from .views import View, apply_view

Decode = Callable[[Sample], Pixels]


class Stored(NamedTuple):
    """One viewed image, uint8 or uint16 (c, *spatial), and the range of its source."""

    values: np.ndarray
    source: SourceRange


class Store(Protocol):
    """Gives the viewed image of a sample."""

    def get(self, sample: Sample) -> Stored:
        """The viewed image. Errors: BrokenImageError."""
        ...


class MemoryStore:
    """Decodes at the first request and keeps the integers in memory."""

    def __init__(self, decode: Decode, view: View) -> None:
        self._decode, self._view = decode, view
        self._kept: dict[str, Stored] = {}

    def get(self, sample: Sample) -> Stored:
        """The viewed image, decoded now or earlier. Errors: BrokenImageError."""
        stored = self._kept.get(sample.image_id)
        if stored is None:
            stored = Stored(*apply_view(self._decode(sample), self._view))
            self._kept[sample.image_id] = stored
        return stored
