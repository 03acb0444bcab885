"""What a broken line of the data would change: pixels, labels and splits that can be worked out by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from medrobust.data import ImageSet, Sample, View
from medrobust.data.check.duplicates import near_pairs
from medrobust.data.check.facts import collect
from medrobust.data.choose.classes import select_classes
from medrobust.data.choose.combined import combine
from medrobust.data.choose.leakage import straddling
from medrobust.data.choose.split_rules import fixed_counts, k_folds
from medrobust.data.files.pixels import Pixels
from medrobust.data.images.splits import complete_splits
from medrobust.data.images.view import apply_view
from medrobust.testing.image_sets import tiny_set


def test_an_image_is_made_square_before_it_is_resized() -> None:
    """Two rows of white, four pixels wide: padded to four rows, or cut to two columns."""
    white = Pixels(np.full((1, 2, 4), 255, np.uint8))
    padded = apply_view(white, View(4, "grey", "pad"))[0][0]
    assert padded.tolist() == [[0] * 4, [255] * 4, [255] * 4, [0] * 4]
    edges = Pixels(np.array([[[0, 255, 255, 0]] * 2], np.uint8))
    assert apply_view(edges, View(2, "grey", "crop"))[0][0].tolist() == [[255, 255]] * 2


def test_grey_of_a_color_is_its_luma() -> None:
    red, green, blue = np.eye(3, dtype=np.uint8)[:, :, None, None] * 255
    seen = [int(apply_view(Pixels(one), View(color="grey"))[0].item()) for one in (red, green, blue)]
    assert seen == [76, 150, 29]


def test_every_class_is_used_once_with_the_rest_at_the_end() -> None:
    images = tiny_set(8, num_classes=4)
    merged = select_classes(images, ["bad=class0+class2", "rest"])
    assert merged.labels.tolist() == [0, 1, 0, 1] * 2
    assert merged.classes == ("bad", "rest")


@pytest.mark.parametrize(
    ("wanted", "positive"),
    [(["class0", "bad=class1+class2"], 1), (["bad=class1+class2", "class0"], 0), (["class0", "class2"], 1)],
)
def test_the_positive_class_keeps_its_meaning_under_another_name(wanted: list[str], positive: int) -> None:
    images = tiny_set(6, num_classes=3)
    images = images.replace(card=dataclasses.replace(images.card, positive_class="class2"))
    assert select_classes(images, wanted).positive_index == positive


def test_parts_of_a_combined_set_agree_on_their_classes() -> None:
    """The second part names its classes in the other order."""
    first, second = tiny_set(4), tiny_set(4, name="other")
    both = combine([first, second.replace(classes=("class1", "class0"))])
    assert both.classes == ("class0", "class1")
    assert both.labels.tolist() == [0, 1, 0, 1, 1, 0, 1, 0]


def test_a_fingerprint_knows_labels_and_groups() -> None:
    images = tiny_set(4)
    for change in ({"label": 1}, {"group_id": "other"}):
        changed = [dataclasses.replace(images.samples[0], **change), *images.samples[1:]]
        assert images.replace(samples=changed).fingerprint() != images.fingerprint()


def test_class_names_of_a_tensor_are_sorted() -> None:
    images = ImageSet.of(torch.rand(3, 1, 2, 2), np.array(["nevus", "melanoma", "nevus"]))
    assert images.classes == ("melanoma", "nevus")
    assert images.labels.tolist() == [1, 0, 1]


def test_exact_counts_keep_groups_whole_when_not_every_group_has_every_class() -> None:
    """A third of the groups has one class only, so that the classes run out at different groups."""
    samples = [Sample(f"{g}-{k}", None, k, f"L{g}") for g in range(90) for k in range(2) if g % 3 or k == 0]
    for seed in range(5):
        assert not straddling(fixed_counts(samples, (20, 5, 10), seed=seed)).groups


def test_folds_change_the_split_of_a_sample_and_nothing_else() -> None:
    samples = [Sample(f"{g}-{k}", None, g % 2, f"L{g}", frame=g) for g in range(40) for k in range(3)]
    for version in k_folds(samples, 4):
        assert [dataclasses.replace(s, split="") for s in version] == samples
        assert not straddling(version).groups


def test_a_validation_split_made_of_train_is_made_by_group() -> None:
    samples = [Sample(f"{g}-{k}", None, g % 2, f"L{g}", "train" if g else "test") for g in range(40) for k in range(3)]
    found = complete_splits(samples)
    assert {s.split for s in found} == {"train", "val", "test"}
    assert not straddling(found).groups
    assert [s.group_id for s in found] == [s.group_id for s in samples]


def test_near_duplicates_agree_in_hash_and_in_thumbnail() -> None:
    """Noise: no two pictures are alike. An equal hash alone makes no pair, nor does an equal thumbnail."""
    facts, _ = collect(tiny_set(6))
    assert near_pairs([dataclasses.replace(fact, hash=7) for fact in facts]) == []
    first, second = facts[0], facts[1]
    twin = dataclasses.replace(second, thumbnail=first.thumbnail)
    assert near_pairs([first, dataclasses.replace(twin, hash=first.hash ^ 0xFF)]) == [(0, 1)]
    assert near_pairs([first, dataclasses.replace(twin, hash=first.hash ^ 0x1FF)]) == []
