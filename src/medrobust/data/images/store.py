"""Where decoded images are kept, so that an image is decoded once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

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
