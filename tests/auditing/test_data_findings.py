"""What `medrobust data check` finds is found in the images of an audit too, those in memory included."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from medrobust.auditing.checks.data import data_findings
from medrobust.data import ImageSet
from medrobust.data.check.part import _Rendered
from medrobust.findings import Finding
from medrobust.testing import small_audit
from medrobust.testing.image_sets import tiny_set


def found(images: ImageSet) -> dict[str, Finding]:
    records, context = small_audit(images=images.subset(range(4)), epsilons=(0.1,))
    return {one.id: one for one in data_findings(records, dataclasses.replace(context, images=images))}


def pictures(n: int = 12) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 1, 8, 8)).astype(np.uint8)


@pytest.mark.parametrize("as_given", [lambda x: x, lambda x: torch.from_numpy(x) / 255], ids=["uint8", "float"])
def test_duplicates_contradictions_and_leaks_of_images_in_memory(as_given) -> None:
    x, y = pictures(), np.arange(12) % 2
    groups = [f"p{k // 2}" for k in range(12)]
    clean = found(ImageSet.of(as_given(x), y, groups=groups))
    assert clean["data-exact-duplicates"].severity == clean["data-label-conflicts"].severity == "pass"
    assert clean["data-groups-known"].severity == "pass"
    x[5] = x[0]
    planted = found(ImageSet.of(as_given(x), y, groups=groups))
    assert planted["data-exact-duplicates"].severity == "warn"
    assert planted["data-exact-duplicates"].evidence.startswith("1 sets of identical pictures (2 images")
    assert planted["data-label-conflicts"].severity == "fail"
    splits = ["train", "test"] + ["train"] * 10
    leaking = found(ImageSet.of(as_given(x), y, groups=groups, splits=splits))
    assert leaking["data-group-leakage"].severity == "fail"


def test_unequal_classes_and_unknown_groups_warn() -> None:
    y = np.array([1, *[0] * 39])
    rare = found(ImageSet.of(pictures(40), y))
    assert rare["data-class-balance"].severity == "warn"
    assert "39.0 times" in rare["data-class-balance"].evidence
    assert rare["data-groups-known"].severity == "warn"


def test_brightness_that_tells_the_label_fails() -> None:
    assert found(tiny_set(60))["data-shortcuts"].severity == "fail"
    mixed = ImageSet.of(pictures(60), np.arange(60) % 2)
    assert found(mixed)["data-shortcuts"].severity == "pass"


def test_images_in_memory_are_looked_at_as_bright_as_they_are() -> None:
    grey = torch.full((2, 1, 4, 4), 0.5)
    for images in (ImageSet.of(grey, [0, 1]), ImageSet.of((grey * 255).to(torch.uint8), [0, 1])):
        from medrobust.data.check.facts import collect

        facts, broken = collect(images.replace(decode=_Rendered(images)))
        assert not broken
        assert facts[0].mean == pytest.approx(0.5, abs=0.01)
