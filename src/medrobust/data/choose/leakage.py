"""Groups that stand on both sides of a split, and what an image-level split would do to a set."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..images.sample import Sample


@dataclass(frozen=True)
class Straddling:
    """How far the groups of a set reach across its splits.

    Args:
        groups: group_id -> the splits it is in, for groups in more than one.
        num_groups: groups in all.
        num_images: images of the groups that straddle.
        exposed: split -> images whose group is also in train.
    """

    groups: dict[str, tuple[str, ...]]
    num_groups: int
    num_images: int
    exposed: dict[str, int]

    def __str__(self) -> str:
        exposed = ", ".join(f"{count} images of {split}" for split, count in sorted(self.exposed.items()))
        text = f"{len(self.groups)} of {self.num_groups} groups are on both sides"
        return f"{text}: {exposed} share a group with train" if exposed else text


def straddling(samples: Iterable[Sample]) -> Straddling:
    """Count the groups that are in more than one split; images without a split do not count.

    Example:
        >>> samples = [Sample("a", None, 0, "p1", "train"), Sample("b", None, 0, "p1", "test")]
        >>> print(straddling(samples))
        1 of 1 groups are on both sides: 1 images of test share a group with train
    """
    samples = [sample for sample in samples if sample.split not in ("", "none")]
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for sample in samples:
        splits[sample.group_id].add(sample.split)
    across = {group: tuple(sorted(found)) for group, found in splits.items() if len(found) > 1}
    exposed: defaultdict[str, int] = defaultdict(int)
    for sample in samples:
        if sample.split != "train" and "train" in splits[sample.group_id]:
            exposed[sample.split] += 1
    num_images = sum(sample.group_id in across for sample in samples)
    return Straddling(across, len(splits), num_images, dict(exposed))


def warn_if_leaking(samples: Sequence[Sample], what: str) -> None:
    """Warn, with the counts, when groups straddle."""
    found = straddling(samples)
    if found.groups:
        warnings.warn(f"{what}: {found}", UserWarning, stacklevel=3)
