"""Groups on both sides of a split."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ...findings import Finding
from ..choose.leakage import straddling
from ..images.image_set import ImageSet
from ..images.sample import Sample
from ..images.splits import make_splits

_LISTED = 1000  # groups that a finding keeps at most
GIVE_GROUPS = "Give patient ids if you have them; without them leakage between splits cannot be excluded."


def leakage(images: ImageSet, seed: int = 0) -> list[Finding]:
    """Whether groups are known and on both sides of the splits, and what an image-level split would do."""
    return [groups_known(images), group_leakage(images.samples), _image_level(images, seed)]


def group_leakage(samples: Sequence[Sample]) -> Finding:
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
        advice = "data.splits=group makes a split that keeps groups together."
        return Finding("data-group-leakage", "not_run", title, "the source has no split", advice, numbers)
    if not known:
        return Finding("data-group-leakage", "not_run", title, "no groups are known", GIVE_GROUPS, numbers)
    if found.groups:
        advice = "Split again by group: data.splits=group."
        return Finding("data-group-leakage", "fail", title, str(found), advice, numbers)
    evidence = f"none of {found.num_groups} groups"
    return Finding("data-group-leakage", "pass", title, evidence, numbers=numbers)


def groups_named(samples: Sequence[Sample]) -> bool:
    """Whether the source says more than that every image is its own group."""
    return any(sample.group_id != sample.image_id for sample in samples)


def groups_known(images: ImageSet) -> Finding:
    """Whether patients or lesions are known, without which nothing about leakage can be said."""
    num_groups, known = len(set(images.groups)), groups_named(images.samples)
    title = "Patients or lesions are known"
    numbers = {"num_groups": num_groups, "images_per_group": len(images) / num_groups}
    if known:
        evidence = (
            f"{num_groups} groups ({images.card.group or 'given'}), {len(images) / num_groups:.2f} images per group"
        )
        return Finding("data-groups-known", "pass", title, evidence, numbers=numbers)
    return Finding("data-groups-known", "warn", title, "every image is its own group", GIVE_GROUPS, numbers)


def _image_level(images: ImageSet, seed: int) -> Finding:
    name, title = "data-image-level-split", "What an image-level split would leak"
    num_groups = len(set(images.groups))
    if not groups_named(images.samples):
        return Finding(name, "not_run", title, "no groups are known", GIVE_GROUPS)
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
        return Finding(name, "pass", title, "nothing: no group has several images", numbers=numbers)
    evidence = (
        f"a random 70/15/15 split of images puts {len(leaked.groups)} of {num_groups} groups on both sides; "
        f"{exposed} of {tested} test images ({exposed / max(tested, 1):.0%}) share a group with train"
    )
    advice = "Split by group, as medrobust does by default (data.splits=group)."
    return Finding(name, "warn", title, evidence, advice, numbers)
