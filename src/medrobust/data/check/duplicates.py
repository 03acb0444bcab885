"""Pictures that are the same or nearly the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from .facts import ImageFacts

MAX_BITS = 8  # of 64 that may differ
MIN_CORRELATION = 0.98  # of the thumbnails; at 0.97 pairs of different pictures appear
_BLOCK = 2048


def same(facts: Sequence[ImageFacts], key: Callable[[ImageFacts], str]) -> list[list[int]]:
    """Positions of the images that agree in a key, two or more."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for i, fact in enumerate(facts):
        groups[key(fact)].append(i)
    return [members for members in groups.values() if len(members) > 1]


def near_pairs(
    facts: Sequence[ImageFacts], *, max_bits: int = MAX_BITS, min_correlation: float = MIN_CORRELATION
) -> list[tuple[int, int]]:
    """Pairs whose perceptual hashes differ in few bits and whose thumbnails correlate.

    Both are needed: pictures of one body part taken alike share most of the hash. All pairs are compared, 64 bits at a
    time, so that 10,000 images take a second and 100,000 a few minutes.
    """
    hashes = np.array([fact.hash for fact in facts], dtype=np.uint64)
    thumbnails = np.stack([fact.thumbnail for fact in facts]) if facts else np.zeros((0, 1))
    pairs = []
    for start in range(0, len(hashes), _BLOCK):
        block = hashes[start : start + _BLOCK]
        for other in range(start, len(hashes), _BLOCK):
            close = _bit_count(block[:, None] ^ hashes[None, other : other + _BLOCK]) <= max_bits
            rows, columns = np.nonzero(close)
            a, b = rows + start, columns + other
            a, b = a[a < b], b[a < b]
            alike = np.einsum("ij,ij->i", thumbnails[a], thumbnails[b]) >= min_correlation
            pairs += list(zip(a[alike].tolist(), b[alike].tolist(), strict=True))
    return pairs


_BITS_OF_16 = np.array([bin(value).count("1") for value in range(1 << 16)], dtype=np.uint8)


def _bit_count(values: np.ndarray) -> np.ndarray:
    """Bits that are set in each uint64; NumPy has this from 2.0 on."""
    count = getattr(np, "bitwise_count", None)
    if count is not None:
        return np.asarray(count(values))
    parts = values.view(np.uint16).reshape(*values.shape, 4)
    return np.asarray(_BITS_OF_16[parts].sum(axis=-1, dtype=np.uint8))


def clusters(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Connected positions, each cluster and the list in order."""
    parent: dict[int, int] = {}

    def root(i: int) -> int:
        parent.setdefault(i, i)
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for a, b in pairs:
        parent[max(root(a), root(b))] = min(root(a), root(b))
    members: defaultdict[int, list[int]] = defaultdict(list)
    for i in sorted(parent):
        members[root(i)].append(i)
    return list(members.values())
