"""The split of a set by rule: ours by group, folds, fixed counts, the papers' image-level ones, or a CSV."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import UserError, nearest
from ..images.image_set import ImageSet
from ..images.sample import Sample
from ..images.splits import SPLITS, assign_groups, complete_splits, make_splits
from ..images.tables import read_table, write_table
from .leakage import warn_if_leaking

UNUSED = "none"  # images that a rule leaves out
RULES = ("auto", "official", "group", "paper", "fold", "counts", "paper-counts")
RANDOM = ("group", "paper", "counts", "paper-counts")  # rules that a seed changes as a whole
_HELP = "group:0.7/0.15/0.15, paper:0.7/0.15/0.15, fold:1/5, counts:800/0/299, paper-counts:800/0/299"


def split_images(images: ImageSet, rule: str) -> ImageSet:
    """The set with splits by a rule and without the images that the rule leaves out.

    Rules:
        auto: the source's splits; ours where it has none.
        official: the source's splits, an error without them.
        group[:TRAIN/VAL/TEST]: by group, stratified, whatever the source says.
        paper[:TRAIN/VAL/TEST]: by image, as published; warns how many groups straddle.
        fold:I/K: fold I of K by group is test, 15 % of the rest val.
        counts:TRAIN/VAL/TEST: that many images of every class, no group on two sides.
        paper-counts:TRAIN/VAL/TEST: the same by image; warns.
        FILE.csv: a table written by write_split.

    `@SEED` after a rule, group@7 or fold:1/5@7, is the seed of the split instead of that of the set.

    Errors: UserError for an unknown rule, impossible numbers, too few images or a table that does not fit.
    """
    samples: Sequence[Sample]
    if rule.endswith(".csv"):
        samples = _from_table(images, Path(rule).expanduser())
    else:
        rule, sign, seed = rule.partition("@")
        if sign and not seed.isdecimal():
            raise UserError("data.splits", f"{seed!r} is not a seed", "write for example group@7")
        images = images.replace(seed=int(seed)) if sign else images
        samples = _by_rule(images, *rule.partition(":")[::2])
    return images.replace(samples=[sample for sample in samples if sample.split != UNUSED])


def repeat_rules(rule: str = "group", *, folds: int = 0, repeats: int = 1, seed: int = 0) -> list[str]:
    """Rules for data.splits: every fold, or the rule, once per seed from `seed` on.

    Args:
        rule: what is repeated when folds is 0: group, group:0.8/0/0.2, counts:800/0/299, paper ...
        folds: number of folds by group; 0 for none.
        repeats: number of seeds.
        seed: the first of them.

    Errors: UserError for numbers that are too small, or a rule that has no seed (a table, a single fold, official).

    Example:
        >>> repeat_rules(folds=2, repeats=2)
        ['fold:1/2@0', 'fold:2/2@0', 'fold:1/2@1', 'fold:2/2@1']
        >>> repeat_rules("counts:800/0/299", repeats=2, seed=7)
        ['counts:800/0/299@7', 'counts:800/0/299@8']
    """
    if folds == 1 or folds < 0:
        raise UserError("folds", f"{folds} is not a number of folds", "use 2 or more")
    if repeats < 1 or seed < 0:
        raise UserError("repeats", f"{repeats} from seed {seed} is not a number of repeats", "use 1 or more")
    seeds = range(seed, seed + repeats)
    if folds:
        if rule != "group":
            raise UserError("folds", f"cannot be made of the rule {rule!r}", "leave the rule out")
        return [f"fold:{k}/{folds}@{s}" for s in seeds for k in range(1, folds + 1)]
    if rule.partition(":")[0] not in RANDOM or "@" in rule:
        raise UserError("repeats", f"the rule {rule!r} has no seed to change", f"valid: {', '.join(RANDOM)}")
    return [f"{rule}@{s}" for s in seeds]


def repeat_splits(
    images: ImageSet, rule: str = "group", *, folds: int = 0, repeats: int = 1, seed: int = 0
) -> dict[str, ImageSet]:
    """Rule -> the set split by it, for every rule of repeat_rules; the folds of a seed test every image once.

    Give the set with all its images (list_images, or open_images with split="all").

    Example:
        >>> from medrobust.testing.image_sets import tiny_set
        >>> parts = repeat_splits(tiny_set(20), folds=5)
        >>> sum(len(images.with_split("test")) for images in parts.values())
        20
    """
    return {one: split_images(images, one) for one in repeat_rules(rule, folds=folds, repeats=repeats, seed=seed)}


def split_name(rule: str) -> str:
    """A rule as the name of a file, without an ending.

    Example:
        >>> split_name("fold:1/5@0"), split_name("counts:800/0/299@7")
        ('fold-1-of-5-seed-0', 'counts-800-0-299-seed-7')
    """
    slash = "-of-" if rule.startswith("fold") else "-"
    return rule.replace(":", "-").replace("/", slash).replace("@", "-seed-")


def _by_rule(images: ImageSet, name: str, numbers: str) -> Sequence[Sample]:
    place = "data.splits"
    if name not in RULES:
        raise UserError(place, f"unknown rule {name!r}", nearest(name, RULES))
    by_image = [dataclasses.replace(sample, group_id=sample.image_id) for sample in images.samples]
    if name in ("auto", "official"):
        if name == "official" and all(sample.split == "" for sample in images.samples):
            raise UserError(place, f"{images.name} has no official splits", "use the rule group")
        return complete_splits(images.samples, seed=images.seed) if name == "official" else images.samples
    values = _numbers(numbers)
    if name == "fold":
        if len(values) != 2 or not (1 <= values[0] <= values[1] and values[1] >= 2) or any(v % 1 for v in values):
            raise UserError(place, f"{numbers!r} is not a fold", "write fold:1/5 for the first of five")
        return k_folds(images.samples, int(values[1]), seed=images.seed)[int(values[0]) - 1]
    grouped = name in ("group", "counts")
    base = images.samples if grouped else by_image
    if name in ("counts", "paper-counts"):
        if len(values) != 3 or any(v % 1 or v < 0 for v in values):
            raise UserError(place, f"{numbers!r} is not TRAIN/VAL/TEST counts", f"for example {name}:800/0/299")
        chosen = fixed_counts(base, [int(v) for v in values], seed=images.seed)
    else:
        chosen = make_splits(base, fractions=values or (0.7, 0.15, 0.15), seed=images.seed)
    samples = [
        dataclasses.replace(sample, split=other.split) for sample, other in zip(images.samples, chosen, strict=True)
    ]
    if not grouped:
        warn_if_leaking(samples, f"image-level split of {images.name}")
    return samples


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split("/")] if text else []
    except ValueError as error:
        raise UserError("data.splits", f"{text!r} are not numbers", f"valid: {_HELP}") from error


def k_folds(samples: Sequence[Sample], k: int, *, seed: int = 0) -> list[tuple[Sample, ...]]:
    """k versions of the samples: version i has fold i as test and, by group, 15 % of the rest as val.

    The folds are by group and stratified; every group is in test exactly once.

    Errors: UserError when a fold would be empty.
    """
    part = assign_groups(samples, [1 / k] * k, seed)
    if len(set(part.values())) < k:
        raise UserError("data.splits", f"{len(part)} groups do not fill {k} folds", "use fewer folds")
    versions = []
    for fold in range(k):
        marked = [
            dataclasses.replace(s, split="test" if part[s.group_id] == fold else "train") for s in samples
        ]  # fmt: skip
        versions.append(complete_splits(marked, seed=seed))
    return versions


def fixed_counts(samples: Sequence[Sample], counts: Sequence[int], *, seed: int = 0) -> tuple[Sample, ...]:
    """Exactly counts = (train, val, test) images of every class, no group on two sides; the others are unused.

    Groups come in the order of SHA-256(seed, group). The group that would overflow a split is used in part, and its
    other images are unused.

    Errors: UserError naming the class that has too few images.
    """
    chosen: dict[str, str] = {}
    side: dict[str, str] = {}
    for label in sorted({sample.label for sample in samples}):
        members: defaultdict[str, list[str]] = defaultdict(list)
        for sample in samples:
            if sample.label == label:
                members[sample.group_id].append(sample.image_id)
        order = sorted(members, key=lambda group: hashlib.sha256(f"{seed}|{group}".encode()).digest())
        missing = dict(zip(SPLITS, counts, strict=True))
        for group in order:
            # a group of several classes stays where its first class put it
            split = side.get(group) or next((name for name in ("test", "val", "train") if missing[name] > 0), "")
            if split and missing[split] > 0:
                side[group] = split
                taken = members[group][: missing[split]]
                missing[split] -= len(taken)
                chosen.update(dict.fromkeys(taken, split))
        if any(missing.values()):
            problem = f"class {label} has too few images for {'/'.join(map(str, counts))}: {missing} missing"
            raise UserError("data.splits", problem, "ask for fewer images")
    return tuple(dataclasses.replace(sample, split=chosen.get(sample.image_id, UNUSED)) for sample in samples)


def write_split(
    path: Path | str,
    images: ImageSet,
    everything: Sequence[Sample] = (),
    columns: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Write image_id, group_id, label and split as a CSV that can be committed and used as data.splits=FILE.csv.

    Images of `everything` that the set does not hold are written with the split "none"; `columns` are further ones,
    name -> image_id -> text. A label below 0 is none.
    """
    used = {sample.image_id for sample in images.samples}
    rows = [*images.samples, *(dataclasses.replace(s, split=UNUSED) for s in everything if s.image_id not in used)]
    table = [
        {
            "image_id": s.image_id,
            "group_id": s.group_id,
            "label": images.classes[s.label] if s.label >= 0 else "",
            "split": s.split,
            **{name: known[s.image_id] for name, known in (columns or {}).items()},
        }
        for s in sorted(rows, key=lambda sample: sample.image_id)
    ]
    write_table(path, table)


def _from_table(images: ImageSet, path: Path) -> list[Sample]:
    rows = {row["image_id"]: row for row in read_table(path, ("image_id", "split"))}
    samples = []
    for sample in images.samples:
        row = rows.pop(sample.image_id, None)
        if row is None:
            raise UserError(str(path), f"no row for the image {sample.image_id}", "write the split again")
        if row["split"] not in (*SPLITS, UNUSED):
            raise UserError(
                str(path), f"unknown split {row['split']!r} of {sample.image_id}", f"valid: {', '.join(SPLITS)}"
            )
        label = row.get("label")
        if label and label != images.classes[sample.label]:
            problem = f"{sample.image_id} is {images.classes[sample.label]!r} now and was {label!r} in the split"
            raise UserError(str(path), problem, "check the labels, then write the split again")
        alone = sample.group_id == sample.image_id  # a set that names no groups gets those that the table has linked
        group = (row.get("group_id") or sample.group_id) if alone else sample.group_id
        samples.append(dataclasses.replace(sample, split=row["split"], group_id=group))
    return samples
