"""Splits by group, stratified by class, the same for the same seed whatever the order of the samples."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

from ...errors import UserError
from .sample import Sample

SPLITS = ("train", "val", "test")
_VAL_OF_TRAIN = 0.15  # share of a native train split that becomes val when the source has none


def make_splits(
    samples: Sequence[Sample], *, fractions: Sequence[float] = (0.7, 0.15, 0.15), seed: int = 0
) -> tuple[Sample, ...]:
    """Samples in their order with split set to train, val or test: no group on two sides, classes in proportion.

    Groups of a class are ordered by SHA-256(seed, group) and cut at the cumulative number of images, so that adding an
    image elsewhere moves almost nothing. A group with several labels counts as its most frequent one.

    Errors: UserError when the fractions are not three numbers >= 0 with sum 1.

    Example:
        >>> from pathlib import Path
        >>> samples = [Sample(f"{i}.png", Path("x"), i % 2, f"patient{i // 2}") for i in range(40)]
        >>> split = make_splits(samples, fractions=(0.5, 0.25, 0.25))
        >>> sorted(Counter(s.split for s in split).items())
        [('test', 10), ('train', 20), ('val', 10)]
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise UserError("fractions", f"{tuple(fractions)} are not three shares with sum 1", "for example 0.7,0.15,0.15")
    side = assign_groups(samples, fractions, seed)
    return tuple(dataclasses.replace(sample, split=SPLITS[side[sample.group_id]]) for sample in samples)


def assign_groups(samples: Sequence[Sample], fractions: Sequence[float], seed: int) -> dict[str, int]:
    """group_id -> part number, parts in proportion to fractions, class by class."""
    labels: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for sample in samples:
        labels[sample.group_id][sample.label] += 1
    strata: defaultdict[int, list[str]] = defaultdict(list)
    for group, counts in labels.items():
        strata[min(counts, key=lambda label: (-counts[label], label))].append(group)
    side: dict[str, int] = {}
    for groups in strata.values():
        groups.sort(key=lambda group: hashlib.sha256(f"{seed}|{group}".encode()).digest())
        sizes = [sum(labels[group].values()) for group in groups]
        total, before = sum(sizes), 0
        ends = [sum(fractions[: i + 1]) * total for i in range(len(fractions))]
        for group, size in zip(groups, sizes, strict=True):
            middle = before + size / 2  # the part that holds the middle image of the group gets it
            open_parts = [i for i, share in enumerate(fractions) if share > 0]
            side[group] = next((i for i in open_parts if middle < ends[i] + 1e-9), open_parts[-1])
            before += size
    return side


def complete_splits(samples: Sequence[Sample], *, seed: int = 0) -> tuple[Sample, ...]:
    """The source's splits where it has them, ours where it has none; a missing val is 15 % of train, by group."""
    alone = all(sample.split in ("", "train") for sample in samples)  # a lone train folder is no split
    bare = [sample for sample in samples if alone or sample.split == ""]
    if bare:  # all of them, or the parts of a combined set whose source has no splits
        made = {sample.image_id: sample for sample in make_splits(bare, seed=seed)}
        samples = [made.get(sample.image_id, sample) for sample in samples]
    found = {sample.split for sample in samples}
    if "val" in found or "train" not in found:
        return tuple(samples)
    train = [sample for sample in samples if sample.split == "train"]
    side = assign_groups(train, (1 - _VAL_OF_TRAIN, _VAL_OF_TRAIN), seed)
    return tuple(
        dataclasses.replace(sample, split=("train", "val")[side[sample.group_id]])
        if sample.split == "train"
        else sample
        for sample in samples
    )
