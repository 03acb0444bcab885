"""Pictures that are the same or nearly the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Sequence

import numpy as np

from ...findings import Finding, Severity
from ..images.image_set import ImageSet
from .facts import ImageFacts

_LISTED = 1000  # image ids that a finding keeps at most

MAX_BITS = 8  # of 64 that may differ
MIN_CORRELATION = 0.98  # of the thumbnails; at 0.97 pairs of different pictures appear
_BLOCK = 2048


def same(facts: Sequence[ImageFacts], key: Callable[[ImageFacts], str]) -> list[list[int]]:
    """Positions of images that agree in a key, in lists of two or more."""
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
    pairs = []
    for start in range(0, len(hashes), _BLOCK):
        block = hashes[start : start + _BLOCK]
        for other in range(start, len(hashes), _BLOCK):
            close = np.bitwise_count(block[:, None] ^ hashes[None, other : other + _BLOCK]) <= max_bits
            rows, columns = np.nonzero(close)
            a, b = rows + start, columns + other
            a, b = a[a < b], b[a < b]
            pairs += [
                pair for pair in zip(a.tolist(), b.tolist(), strict=True) if _alike(facts, pair) >= min_correlation
            ]
    return pairs


def _alike(facts: Sequence[ImageFacts], pair: tuple[int, int]) -> float:
    """Correlation of two thumbnails."""
    a, b = (facts[i].thumbnail.astype(np.float32) for i in pair)
    return float(a @ b)


def clusters(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Connected positions, each cluster and the list in order."""
    root: dict[int, int] = {}

    def find(position: int) -> int:
        while root.setdefault(position, position) != position:
            root[position] = position = root[root[position]]
        return position

    for a, b in pairs:
        first, second = sorted((find(a), find(b)))
        root[second] = first
    members: dict[int, list[int]] = {}
    for position in sorted(root):
        members.setdefault(find(position), []).append(position)
    return list(members.values())


def duplicates(images: ImageSet, facts: Sequence[ImageFacts], about: Container[str] | None = None) -> list[Finding]:
    """Exact and near duplicates, within and across splits, and labels that contradict each other.

    Args:
        images: the set.
        facts: of its images.
        about: the image_ids that matter; duplicates among other images are left out.
    """

    def matters(members: Sequence[int]) -> bool:
        return about is None or any(facts[i].sample.image_id in about for i in members)

    exact = list(filter(matters, same(facts, lambda fact: fact.pixels)))
    byte = list(filter(matters, same(facts, lambda fact: fact.content)))
    identical = {(a, b) for members in exact for a in members for b in members if a < b}
    near = [pair for pair in near_pairs(facts) if pair not in identical and matters(pair)]
    foreign = [(a, b) for a, b in near if facts[a].sample.group_id != facts[b].sample.group_id]
    return [
        _repeated("data-exact-duplicates", "Exact duplicates", facts, exact, len(byte)),
        _near("data-near-duplicates", facts, near, foreign),
        _conflicts(images, facts, exact, near),
    ]


def _repeated(name: str, title: str, facts: Sequence[ImageFacts], groups: list[list[int]], num_files: int) -> Finding:
    across = [members for members in groups if len({facts[i].sample.split for i in members}) > 1]
    foreign = [members for members in groups if len({facts[i].sample.group_id for i in members}) > 1]
    numbers = {
        "num_groups": len(groups),
        "num_images": sum(map(len, groups)),
        "num_byte_identical": num_files,
        "num_across_groups": len(foreign),
        "num_across_splits": len(across),
        "groups": _ids(facts, groups),
    }
    if not groups:
        return Finding(name, "pass", title, "none", numbers=numbers)
    evidence = (
        f"{len(groups)} sets of identical pictures ({sum(map(len, groups))} images, {num_files} sets byte for byte), "
        f"{len(foreign)} in different groups, {len(across)} across splits; first {' = '.join(_names(facts, groups[0]))}"
    )
    advice = "Keep one of each." + (" The test images among them are no test." if across else "")
    return Finding(name, "fail" if across else "warn", title, evidence, advice, numbers)


def _near(
    name: str, facts: Sequence[ImageFacts], near: list[tuple[int, int]], foreign: list[tuple[int, int]]
) -> Finding:
    across = [(a, b) for a, b in near if facts[a].sample.split != facts[b].sample.split]
    groups = clusters(near)
    numbers = {
        "num_pairs": len(near),
        "num_clusters": len(groups),
        "num_pairs_across_groups": len(foreign),
        "num_pairs_across_splits": len(across),
        "clusters": _ids(facts, groups),
        "pairs_across_groups": _ids(facts, foreign),
    }
    title = "Near duplicates (perceptual hash)"
    evidence = f"{len(near)} pairs, {len(foreign)} of them in different groups, {len(across)} across splits"
    if foreign:
        evidence += f"; first {' ~ '.join(_names(facts, foreign[0]))}"
    severity: Severity = "fail" if across else "warn" if foreign else "pass"
    advice = "Give near duplicates one group id, so that a split keeps them together." if severity != "pass" else ""
    return Finding(name, severity, title, evidence, advice, numbers)


def _conflicts(
    images: ImageSet, facts: Sequence[ImageFacts], exact: list[list[int]], near: list[tuple[int, int]]
) -> Finding:
    same_picture = [members for members in exact if len({facts[i].sample.label for i in members}) > 1]
    alike = [pair for pair in near if facts[pair[0]].sample.label != facts[pair[1]].sample.label]
    numbers = {
        "num_exact": len(same_picture),
        "num_near": len(alike),
        "exact": _ids(facts, same_picture),
        "near": _ids(facts, alike),
    }
    title = "Label conflicts between duplicates"
    if not same_picture and not alike:
        return Finding("data-label-conflicts", "pass", title, "none", numbers=numbers)
    first = (same_picture or alike)[0]
    shown = " / ".join(f"{facts[i].sample.image_id} ({images.classes[facts[i].sample.label]})" for i in first[:3])
    evidence = f"{len(same_picture)} exact and {len(alike)} near duplicates have different labels; first {shown}"
    severity: Severity = "fail" if same_picture else "warn"
    return Finding("data-label-conflicts", severity, title, evidence, "Find out which label is right.", numbers)


def _names(facts: Sequence[ImageFacts], members: Sequence[int]) -> list[str]:
    return [facts[i].sample.image_id for i in members[:3]]


def _ids(facts: Sequence[ImageFacts], groups: Sequence[Sequence[int]]) -> list[list[str]]:
    return [[facts[i].sample.image_id for i in members] for members in groups[:_LISTED]]
