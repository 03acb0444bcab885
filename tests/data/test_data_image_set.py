"""Batches, subsets, limits, splits and fingerprints of a set."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medrobust.data import ImageSet, Sample, View, batches, make_splits, open_images
from medrobust.data.choose.classes import limit_images
from medrobust.data.files.pixels import Pixels
from medrobust.errors import UserError
from medrobust.testing.image_sets import tiny_set


def test_batches_do_not_depend_on_workers_or_size():
    images = tiny_set(11)
    expected = torch.stack([images[i][0] for i in range(11)])
    for size, workers in ((1, 0), (4, 0), (4, 1), (11, 2)):
        parts = list(batches(images, size, num_workers=workers))
        assert torch.equal(torch.cat([b.x for b in parts]), expected)
        assert torch.cat([b.index for b in parts]).tolist() == list(range(11))
        assert torch.cat([b.y for b in parts]).tolist() == [i % 2 for i in range(11)]
    assert expected.dtype == torch.float32


def test_shuffling_is_a_function_of_the_seed():
    images = tiny_set(30)
    orders = [
        torch.cat([b.index for b in batches(images, 7, num_workers=w, shuffle_seed=seed)]).tolist()
        for seed, w in ((1, 0), (1, 1), (2, 0))
    ]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list(range(30))
    for batch in batches(images, 7, shuffle_seed=1):
        assert torch.equal(batch.x[0], images[int(batch.index[0])][0])


def test_different_sizes_need_an_image_size():
    samples = [Sample(str(k), None, k % 2, str(k), frame=k) for k in range(2)]
    images = ImageSet("odd", "ab", samples, decode=lambda s: Pixels(np.zeros((1, 4, 4 + s.frame), np.uint8)))
    with pytest.raises(UserError, match=r"data.image_size.*4x4.*4x5"):
        list(batches(images, 2))
    assert len(list(batches(images.replace(view=View(8)), 2))) == 1


def test_an_image_is_decoded_once():
    calls: Counter[str] = Counter()

    def decode(sample: Sample) -> Pixels:
        calls[sample.image_id] += 1
        return Pixels(np.zeros((1, 4, 4), np.uint8))

    images = ImageSet("x", "ab", tiny_set(6).samples, decode=decode)
    for _ in range(2):
        list(batches(images, 4))
        list(batches(images.subset([4, 2]), 4))
    assert set(calls.values()) == {1}


def test_limit_is_stratified_keeps_order_and_follows_the_seed():
    images = tiny_set(100)
    rare = images.replace(
        samples=[dataclasses.replace(s, label=int(i >= 95)) for i, s in enumerate(images.samples)]
    )  # fmt: skip
    small = limit_images(rare, 10, seed=3)
    assert Counter(small.labels.tolist()) == {0: 9, 1: 1}
    ids = [s.image_id for s in small.samples]
    assert ids == sorted(ids)
    assert ids == [s.image_id for s in limit_images(rare, 10, seed=3).samples]
    assert ids != [s.image_id for s in limit_images(rare, 10, seed=4).samples]
    assert len(limit_images(rare, 1000, seed=0)) == 100
    assert limit_images(rare, 2, seed=0).labels.tolist() == [0, 1]


@settings(deadline=None, max_examples=40)
@given(
    groups=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2)), min_size=6, max_size=80),
    seed=st.integers(0, 5),
    order=st.randoms(use_true_random=False),
)
def test_splits_keep_groups_whole_whatever_the_order(groups, seed, order):
    samples = [Sample(f"{i}", None, label, f"g{group}") for i, (group, label) in enumerate(groups)]
    split = make_splits(samples, seed=seed)
    assert [s.image_id for s in split] == [s.image_id for s in samples]
    sides = {s.group_id: s.split for s in split}
    assert all(sides[s.group_id] == s.split for s in split)
    shuffled = list(samples)
    order.shuffle(shuffled)
    assert {s.group_id: s.split for s in make_splits(shuffled, seed=seed)} == sides


def test_splits_are_stratified_and_follow_the_seed():
    samples = [Sample(f"{i}", None, int(i // 2 % 10 == 0), f"g{i // 2}") for i in range(2000)]
    split = make_splits(samples)
    for name, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
        part = [s for s in split if s.split == name]
        assert abs(len(part) / 2000 - share) < 0.005
        assert abs(np.mean([s.label for s in part]) - 0.1) < 0.005
    assert [s.split for s in make_splits(samples, seed=1)] != [s.split for s in split]
    with pytest.raises(UserError, match="fractions"):
        make_splits(samples, fractions=(0.5, 0.2, 0.2))


def test_with_split_makes_what_the_source_lacks():
    images = tiny_set(40)
    parts = {name: images.with_split(name) for name in ("train", "val", "test")}
    assert sum(len(part) for part in parts.values()) == 40
    assert images.with_split("all") is images
    native = images.replace(samples=[dataclasses.replace(s, split="test") for s in images.samples])
    with pytest.raises(UserError, match="no image is in the split 'train'"):
        native.with_split("train")


def test_fingerprint_follows_content_not_place(two_classes, tmp_path):
    first = open_images(f"folder:{two_classes}").fingerprint()
    moved = two_classes.rename(tmp_path / "moved")
    again = open_images(f"folder:{moved}")
    assert first == again.fingerprint()
    assert len(first) == 64
    assert again.subset([0, 1]).fingerprint() != again.fingerprint()
    assert again.replace(view=View(4)).fingerprint() != again.fingerprint()
    (moved / "a" / "0.png").write_bytes((moved / "a" / "1.png").read_bytes())
    assert open_images(f"folder:{moved}").fingerprint() != first
    assert tiny_set().fingerprint() != tiny_set(14).fingerprint()
