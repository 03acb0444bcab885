"""Where decoded images are kept, so that an image is decoded once."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from ...errors import UserError
from ..files.pixels import BrokenImageError, Pixels, SourceRange
from .sample import Sample
from .view import View, apply_view

Decode = Callable[[Sample], Pixels]
Progress = Callable[[int, int], None]
T = TypeVar("T")
R = TypeVar("R")


class Stored(NamedTuple):
    """One viewed image, uint8, uint16 or float32 (c, *spatial), and the range of its source."""

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


def find_extremes(samples: Iterable[Sample], store: Store) -> tuple[float, float]:
    """Least and largest pixel of the images that can be decoded, on [0, 1].

    Errors: UserError when none can be.
    """
    ends: list[float] = []
    for values in map(attempt(lambda sample: store.get(sample).values), samples):
        if not isinstance(values, BrokenImageError):
            top = 1.0 if values.dtype.kind == "f" else float(np.iinfo(values.dtype).max)
            ends += [float(values.min()) / top, float(values.max()) / top]
    if not ends:
        raise UserError("data.scale", "set: no image of the training part can be decoded")
    least, most = min(ends), max(ends)
    return least, most if most > least else least + 1.0


def checked_extremes(given: Sequence[float] | None) -> tuple[float, float] | None:
    """Two numbers, the first below the second, or None. Errors: UserError."""
    if given is None:
        return None
    found = tuple(float(value) for value in given)
    if len(found) != 2 or not all(map(math.isfinite, found)) or found[0] >= found[1]:
        raise UserError("data.extremes", f"{list(given)} are not the least and the largest pixel of a set")
    return found[0], found[1]


def attempt(get: Callable[[Sample], T]) -> Callable[[Sample], T | BrokenImageError]:
    """The same function, returning the error of a broken image instead of raising it."""

    def safe(sample: Sample) -> T | BrokenImageError:
        try:
            return get(sample)
        except BrokenImageError as error:
            return error

    return safe


def threaded(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Results in the order of the items, a bounded number of them ahead, so that memory stays small."""
    threads = min(8, os.cpu_count() or 1)
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) >= 4 * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
