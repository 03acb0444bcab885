"""The questions of `medrobust data check`, one function each."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from ..image_set import ImageSet
from ..leakage import straddling
from ..sample import Sample
from ..splits import make_splits
from .facts import ImageFacts
from .findings import DataFinding, Severity
from .identifiers import identifiers
from .near import clusters, near_pairs, same
from .shortcuts import MIN_PER_CLASS, metadata_auc

_LISTED = 1000  # image ids that a finding keeps at most


def counts(images: ImageSet, facts: Sequence[ImageFacts]) -> DataFinding:
    """How many images, of what size and depth."""
    labels = Counter(images.classes[sample.label] for sample in images.samples)
    splits = Counter(sample.split for sample in images.samples if sample.split)
    shapes = Counter("x".join(map(str, fact.shape)) for fact in facts)
    colors, bits = Counter(fact.color for fact in facts), Counter(fact.bits for fact in facts)
    numbers = {
        "num_images": len(images),
        "num_groups": len(set(images.groups)),
        "classes": dict(labels),
        "splits": dict(splits),
        "sizes": dict(shapes.most_common(20)),
        "num_sizes": len(shapes),
        "colors": dict(colors),
        "bits": {str(depth): count for depth, count in bits.items()},
    }
    evidence = f"{len(images)} images in {len(set(images.groups))} groups; {_listed(labels)}"
    evidence += f"; {_listed(splits)}" if splits else ""
    evidence += f"; {_listed(Counter(dict(shapes.most_common(3))))}{' ...' if len(shapes) > 3 else ''}"
    mixed = [what for what, found in (("color modes", colors), ("bit depths", bits)) if len(found) > 1]
    evidence += f"; {_listed(colors)}; bits {', '.join(map(str, sorted(bits)))}"
    advice = f"Make sure that the {' and '.join(mixed)} do not follow the label." if mixed else ""
    return DataFinding(
        "data-counts", "warn" if mixed else "pass", "Counts, sizes, bit depths", evidence, advice, numbers
    )


def corrupt(images: ImageSet, broken: Mapping[str, str]) -> DataFinding:
    """Files that cannot be decoded."""
    everything = dict(images.broken) | dict(broken)
    title, numbers = "Corrupt files", {"broken": everything}
    if not everything:
        return DataFinding("data-corrupt", "pass", title, f"all {len(images)} files decode", numbers=numbers)
    name, reason = next(iter(everything.items()))
    evidence = f"{len(everything)} cannot be read, the first is {name} ({reason})"
    return DataFinding("data-corrupt", "fail", title, evidence, "Repair or remove them.", numbers)


def duplicates(images: ImageSet, facts: Sequence[ImageFacts], about: Container[str] | None = None) -> list[DataFinding]:
    """Exact and near duplicates, within and across splits, and labels that contradict each other.

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


def _repeated(
    name: str, title: str, facts: Sequence[ImageFacts], groups: list[list[int]], num_files: int
) -> DataFinding:
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
        return DataFinding(name, "pass", title, "none", numbers=numbers)
    evidence = (
        f"{len(groups)} sets of identical pictures ({sum(map(len, groups))} images, {num_files} sets byte for byte), "
        f"{len(foreign)} in different groups, {len(across)} across splits; first {' = '.join(_names(facts, groups[0]))}"
    )
    advice = "Keep one of each." + (" The test images among them are no test." if across else "")
    return DataFinding(name, "fail" if across else "warn", title, evidence, advice, numbers)


def _near(
    name: str, facts: Sequence[ImageFacts], near: list[tuple[int, int]], foreign: list[tuple[int, int]]
) -> DataFinding:
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
    return DataFinding(name, severity, title, evidence, advice, numbers)


def _conflicts(
    images: ImageSet, facts: Sequence[ImageFacts], exact: list[list[int]], near: list[tuple[int, int]]
) -> DataFinding:
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
        return DataFinding("data-label-conflicts", "pass", title, "none", numbers=numbers)
    first = (same_picture or alike)[0]
    shown = " / ".join(f"{facts[i].sample.image_id} ({images.classes[facts[i].sample.label]})" for i in first[:3])
    evidence = f"{len(same_picture)} exact and {len(alike)} near duplicates have different labels; first {shown}"
    severity: Severity = "fail" if same_picture else "warn"
    return DataFinding("data-label-conflicts", severity, title, evidence, "Find out which label is right.", numbers)


def leakage(images: ImageSet, seed: int = 0) -> list[DataFinding]:
    """Whether groups are known and on both sides of the splits, and what an image-level split would do."""
    return [groups_known(images), group_leakage(images.samples), _image_level(images, seed)]


def group_leakage(samples: Sequence[Sample]) -> DataFinding:
    """Groups on both sides of the splits that the samples have."""
    found, known = straddling(samples), groups_named(samples)
    title = "Groups on both sides of the split"
    numbers = {
        "num_groups": found.num_groups,
        "num_straddling": len(found.groups),
        "num_images": found.num_images,
        "exposed": found.exposed,
        "groups": dict(list(found.groups.items())[:_LISTED]),
    }
    if not any(sample.split for sample in samples):
        return DataFinding("data-group-leakage", "not_run", title, "the source has no split", numbers=numbers)
    if not known:
        return DataFinding("data-group-leakage", "not_run", title, "no groups are known", numbers=numbers)
    if found.groups:
        advice = "Split again by group: data.splits=group."
        return DataFinding("data-group-leakage", "fail", title, str(found), advice, numbers)
    evidence = f"none of {found.num_groups} groups"
    return DataFinding("data-group-leakage", "pass", title, evidence, numbers=numbers)


def groups_named(samples: Sequence[Sample]) -> bool:
    """Whether the source says more than that every image is its own group."""
    return any(sample.group_id != sample.image_id for sample in samples)


def groups_known(images: ImageSet) -> DataFinding:
    """Whether patients or lesions are known, without which nothing about leakage can be said."""
    num_groups, known = len(set(images.groups)), groups_named(images.samples)
    title = "Patients or lesions are known"
    numbers = {"num_groups": num_groups, "images_per_group": len(images) / num_groups}
    if known:
        evidence = (
            f"{num_groups} groups ({images.card.group or 'given'}), {len(images) / num_groups:.2f} images a group"
        )
        return DataFinding("data-groups-known", "pass", title, evidence, numbers=numbers)
    advice = "Give patient ids if you have them; without them leakage between splits cannot be excluded."
    return DataFinding("data-groups-known", "warn", title, "every image is its own group", advice, numbers)


def _image_level(images: ImageSet, seed: int) -> DataFinding:
    name, title = "data-image-level-split", "What an image-level split would leak"
    num_groups = len(set(images.groups))
    if not groups_named(images.samples):
        return DataFinding(name, "not_run", title, "no groups are known")
    single = [dataclasses.replace(sample, group_id=sample.image_id) for sample in images.samples]
    split = make_splits(single, seed=seed)
    leaked = straddling(
        dataclasses.replace(sample, split=other.split) for sample, other in zip(images.samples, split, strict=True)
    )
    exposed, tested = leaked.exposed.get("test", 0), sum(sample.split == "test" for sample in split)
    numbers = {
        "num_groups": num_groups,
        "num_straddling": len(leaked.groups),
        "test_images": tested,
        "test_images_exposed": exposed,
        "seed": seed,
    }
    if not leaked.groups:
        return DataFinding(name, "pass", title, "nothing: no group has several images", numbers=numbers)
    evidence = (
        f"a random 70/15/15 split of images puts {len(leaked.groups)} of {num_groups} groups on both sides; "
        f"{exposed} of {tested} test images ({exposed / max(tested, 1):.0%}) share a group with train"
    )
    advice = "Split by group, as medrobust does by default (data.splits=group)."
    return DataFinding(name, "warn", title, evidence, advice, numbers)


def balance(images: ImageSet) -> DataFinding:
    """How unequal the classes are."""
    found = Counter(images.classes[sample.label] for sample in images.samples)
    most, least = max(found.values()), min(found.get(name, 0) for name in images.classes)
    numbers = {"classes": dict(found), "ratio": most / max(least, 1)}
    evidence = f"{_listed(found)}; the largest is {most / max(least, 1):.1f} times the smallest"
    advice = ""
    if most > 10 * least:
        advice = "Report balanced accuracy and AUROC; balance while training (data.balance=true)."
    elif least < MIN_PER_CLASS:
        advice = f"A class has fewer than {MIN_PER_CLASS} images: expect wide intervals."
    return DataFinding("data-class-balance", "warn" if advice else "pass", "Class balance", evidence, advice, numbers)


def shortcuts(facts: Sequence[ImageFacts], seed: int = 0) -> DataFinding:
    """Metadata that predicts the label."""
    name, title = "data-shortcuts", "Labels told by file properties alone"
    found = metadata_auc(facts, seed)
    if found is None:
        return DataFinding(name, "not_run", title, f"a class has fewer than {MIN_PER_CLASS} images")
    numbers = {"auc": found.auc, "low": found.low, "features": found.features}
    best = ", ".join(f"{feature} {auc:.2f}" for feature, auc in list(found.features.items())[:3])
    evidence = f"cross-validated AUC {found.auc:.2f} (95 % from {found.low:.2f})" + (f"; alone: {best}" if best else "")
    severity: Severity = "fail" if found.low >= 0.9 else "warn" if found.low >= 0.65 else "pass"
    advice = "Make sure that a classifier cannot use it: crop, resize and normalize all classes alike."
    return DataFinding(name, severity, title, evidence, advice if severity != "pass" else "", numbers)


def dicom_identifiers(images: ImageSet) -> DataFinding:
    """Names, birth dates and other traces of patients in DICOM headers."""
    name, title = "data-dicom-identifiers", "Patient identifiers in DICOM headers"
    paths: list[Path] = list(dict.fromkeys(sample.path for sample in images.samples if sample.path is not None))
    count, person, trace, burned = identifiers(paths)
    if count == 0:
        return DataFinding(name, "not_run", title, "no DICOM files")
    numbers = {"num_files": count, "person": dict(person), "trace": dict(trace), "burned_in": burned}
    parts = [f"{tag} in {number} of {count} files" for tag, number in (person + trace).most_common()]
    parts += [f"burned-in annotation in {burned}"] if burned else []
    severity: Severity = "fail" if person else "warn" if trace or burned else "pass"
    advice = "De-identify by DICOM PS3.15 before the images leave the hospital." if parts else ""
    evidence = "; ".join(parts) or f"none in {count} files"
    return DataFinding(name, severity, title, evidence, advice, numbers)


def _names(facts: Sequence[ImageFacts], members: Sequence[int]) -> list[str]:
    return [facts[i].sample.image_id for i in members[:3]]


def _ids(facts: Sequence[ImageFacts], groups: Sequence[Sequence[int]]) -> list[list[str]]:
    return [[facts[i].sample.image_id for i in members] for members in groups[:_LISTED]]


def _listed(found: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(found.items(), key=lambda item: (-item[1], item[0])))
