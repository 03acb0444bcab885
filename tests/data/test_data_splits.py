"""Rules of splitting, folds, exact counts, image-level splits and their warning, tables; caps and balance."""

from __future__ import annotations

import csv
import dataclasses
from collections import Counter

import pytest

from medrobust.data import Sample, open_images, repeat_rules, repeat_splits
from medrobust.data.choose.classes import balance_classes, cap_classes
from medrobust.data.choose.leakage import straddling
from medrobust.data.choose.split_rules import fixed_counts, k_folds, split_images, write_split
from medrobust.errors import UserError
from medrobust.testing.image_sets import tiny_set


def lesions(count: int = 200) -> list[Sample]:
    """Two classes, 1 to 3 images a lesion."""
    return [
        Sample(f"{g}-{k}", None, g % 2, f"L{g}", frame=g) for g in range(count) for k in range(1 + g % 3)
    ]  # fmt: skip


def counts(samples) -> Counter[tuple[str, int]]:
    return Counter((sample.split, sample.label) for sample in samples)


def test_folds_test_every_group_once_and_never_leak():
    samples = lesions()
    versions = k_folds(samples, 5, seed=1)
    tested = Counter(s.image_id for version in versions for s in version if s.split == "test")
    assert set(tested.values()) == {1}
    assert len(tested) == len(samples)
    for version in versions:
        assert not straddling(version).groups
        sizes = Counter(s.split for s in version)
        assert abs(sizes["test"] / len(samples) - 0.2) < 0.02
        assert abs(sizes["val"] / len(samples) - 0.12) < 0.02


def test_exact_counts_by_group():
    samples = lesions()
    chosen = fixed_counts(samples, (100, 10, 50))
    expected = {("train", 0): 100, ("train", 1): 100, ("val", 0): 10, ("val", 1): 10, ("test", 0): 50, ("test", 1): 50}
    assert {key: n for key, n in counts(chosen).items() if key[0] != "none"} == expected
    assert not straddling(chosen).groups
    assert [s.image_id for s in chosen] == [s.image_id for s in samples]
    with pytest.raises(UserError, match="too few images"):
        fixed_counts(samples, (900, 0, 299))


def test_a_group_of_two_classes_stays_on_one_side_with_exact_counts():
    samples = [Sample(f"{g}-{k}", None, k % 2, f"L{g}") for g in range(60) for k in range(2)]
    for seed in range(5):
        assert not straddling(fixed_counts(samples, (20, 5, 10), seed=seed)).groups


def test_the_papers_split_warns_with_counts():
    images = tiny_set().replace(samples=lesions())
    with pytest.warns(
        UserWarning, match=r"image-level split of tiny: \d+ of 200 groups are on both sides: .* images of test"
    ):
        leaking = split_images(images, "paper:0.71/0.145/0.145")
    found = straddling(leaking.samples)
    assert 60 < len(found.groups) < 133  # 133 lesions have two or three images
    assert found.exposed["test"] > 10
    assert abs(Counter(s.split for s in leaking.samples)["train"] / 399 - 0.71) < 0.01
    with pytest.warns(UserWarning, match="share"):
        exact = split_images(images, "paper-counts:100/0/50")
    assert counts(exact.samples) == {("train", 0): 100, ("train", 1): 100, ("test", 0): 50, ("test", 1): 50}


def test_rules():
    images = tiny_set().replace(samples=lesions())
    assert split_images(images, "auto").samples == images.samples
    group = split_images(images, "group:0.5/0.25/0.25")
    assert abs(Counter(s.split for s in group.samples)["train"] / len(images) - 0.5) < 0.01
    assert not straddling(group.samples).groups
    first, second = (split_images(images, f"fold:{k}/4").samples for k in (1, 2))
    assert {s.image_id for s in first if s.split == "test"}.isdisjoint(s.image_id for s in second if s.split == "test")
    assert len(split_images(images, "counts:80/0/20")) == 200


def test_repeated_splits_and_folds():
    images = tiny_set().replace(samples=lesions())
    parts = repeat_splits(images, "group:0.6/0.2/0.2", repeats=3, seed=4)
    assert list(parts) == [f"group:0.6/0.2/0.2@{seed}" for seed in (4, 5, 6)]
    tests = {rule: frozenset(s.image_id for s in part.with_split("test").samples) for rule, part in parts.items()}
    assert len(set(tests.values())) == 3
    again = split_images(images.replace(seed=5), "group:0.6/0.2/0.2")
    assert {s.image_id for s in again.samples if s.split == "test"} == tests["group:0.6/0.2/0.2@5"]
    folds = repeat_splits(images, folds=4, repeats=2, seed=1)
    assert list(folds)[:2] == ["fold:1/4@1", "fold:2/4@1"]
    for seed in (1, 2):
        tested = Counter(
            s.image_id
            for rule, part in folds.items()
            if rule.endswith(f"@{seed}")
            for s in part.with_split("test").samples
        )
        assert set(tested.values()) == {1}
        assert len(tested) == len(images)
    first, second = (folds[f"fold:1/4@{seed}"].with_split("test").groups for seed in (1, 2))
    assert set(first) != set(second)
    for part in [*parts.values(), *folds.values()]:
        assert not straddling(part.samples).groups


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"folds": 1}, "1 is not a number of folds"),
        ({"repeats": 0}, "not a number of repeats"),
        ({"rule": "official", "repeats": 2}, "has no seed to change"),
        ({"rule": "split.csv", "repeats": 2}, "has no seed to change"),
        ({"rule": "group@3", "repeats": 2}, "has no seed to change"),
        ({"rule": "paper", "folds": 5}, "cannot be made of the rule 'paper'"),
    ],
)
def test_repeats_that_cannot_be(options, text):
    with pytest.raises(UserError, match=text):
        repeat_rules(**options)


def test_a_table_gives_groups_to_a_set_without_any_and_to_no_other(two_classes, tmp_path):
    spec, table = f"folder:{two_classes}", tmp_path / "split.csv"
    write_split(table, split_images(open_images(spec), "group"))
    text = table.read_text().replace("a/0.png,a/0.png,", "a/0.png,p1,").replace("a/1.png,a/1.png,", "a/1.png,p1,")
    table.write_text(text)
    groups = {s.image_id: s.group_id for s in open_images(spec, splits=str(table), split="all").samples}
    assert (groups["a/0.png"], groups["a/1.png"], groups["a/2.png"]) == ("p1", "p1", "a/2.png")
    own = open_images(spec, splits=str(table), split="all", group=r"(\d)\.png")
    assert own.samples[0].group_id == "0"


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("grup", "unknown rule 'grup'. Did you mean 'group'?"),
        ("official", "tiny has no official splits"),
        ("fold:6/5", "'6/5' is not a fold"),
        ("group@x", "'x' is not a seed"),
        ("fold", "is not a fold"),
        ("fold:1.5/5", "is not a fold"),
        ("counts:8", "is not TRAIN/VAL/TEST"),
        ("counts:a/b/c", "are not numbers"),
        ("group:0.5/0.4/0.2", "sum 1"),
        ("nowhere.csv", "nowhere.csv: no such file"),
    ],
)
def test_wrong_rules(rule, text):
    with pytest.raises(UserError) as error:
        split_images(tiny_set(20), rule)
    assert text in str(error.value)


def test_a_split_is_a_table_that_can_be_used_again(two_classes, tmp_path, fails):
    spec = f"folder:{two_classes}"
    everything = open_images(spec)
    chosen = split_images(everything, "counts:2/0/1")
    table = tmp_path / "split.csv"
    write_split(table, chosen, everything.samples)
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["split"] for row in rows) == {"train": 4, "test": 2, "none": 2}
    assert rows[0].keys() == {"image_id", "group_id", "label", "split"}
    again = open_images(spec, splits=str(table), split="all")
    assert [(s.image_id, s.split) for s in again.samples] == [(s.image_id, s.split) for s in chosen.samples]
    assert len(open_images(spec, splits=str(table))) == 2
    text = table.read_text()
    table.write_text(text.replace("a/0.png,a/0.png,a,", "a/0.png,a/0.png,b,"))
    assert "a/0.png is 'a' now and was 'b' in the split" in fails(spec, splits=str(table))
    table.write_text("\n".join(line for line in text.splitlines() if not line.startswith("b/3.png")))
    assert "no row for the image b/3.png" in fails(spec, splits=str(table))
    table.write_text(text.replace(",train", ",trian"))
    assert "unknown split 'trian'" in fails(spec, splits=str(table))


def test_a_lone_train_folder_is_split_by_us():
    images = tiny_set(100)
    images = images.replace(samples=[dataclasses.replace(s, split="train") for s in images.samples])
    assert 8 <= len(images.with_split("test")) <= 22


def test_caps_and_balance():
    images = tiny_set(90).replace(samples=[
        dataclasses.replace(s, label=int(i % 3 == 0), split="test" if i < 30 else "train")
        for i, s in enumerate(tiny_set(90).samples)
    ])  # fmt: skip
    assert counts(cap_classes(images, 5, 0).samples) == {(a, b): 5 for a in ("train", "test") for b in (0, 1)}
    capped = counts(cap_classes(images, {"train": 12, "test": 3}, 0).samples)
    assert capped == {("train", 0): 12, ("train", 1): 12, ("test", 0): 3, ("test", 1): 3}
    only_train = counts(cap_classes(images, {"train": 12}, 0).samples)
    assert only_train[("test", 0)] == 20
    balanced = balance_classes(images, 0)
    assert counts(balanced.samples) == {("train", 0): 20, ("train", 1): 20, ("test", 0): 10, ("test", 1): 10}
    ids = [s.image_id for s in balanced.samples]
    assert ids == sorted(ids)
    assert ids != [s.image_id for s in balance_classes(images, 1).samples]
    with pytest.raises(UserError, match=r"data\.cap"):
        cap_classes(images, 0, 0)


def test_options_of_open_images(put, tmp_path):
    for k in range(12):
        put(f"set/{'ab'[k % 3 == 0]}/{k}.png", value=k)
    spec = f"folder:{tmp_path / 'set'}"
    assert Counter(open_images(spec, balance=True).labels.tolist()) == {0: 4, 1: 4}
    assert Counter(open_images(spec, cap=3).labels.tolist()) == {0: 3, 1: 3}
    parts = [open_images(spec, splits=f"fold:{k}/4", split="test") for k in (1, 2, 3, 4)]
    assert sorted(s.image_id for part in parts for s in part.samples) == sorted(
        s.image_id for s in open_images(spec).samples
    )


def test_a_limit_never_moves_an_image_to_another_split(put, tmp_path):
    for k in range(60):
        put(f"set/{'ab'[k % 2]}/{k}.png", value=k)
    spec = f"folder:{tmp_path / 'set'}"
    full = {name: {s.image_id for s in open_images(spec, split=name).samples} for name in ("train", "val", "test")}
    few = open_images(spec, split="all", limit=30)
    for name in ("train", "val", "test"):
        kept = {s.image_id for s in few.with_split(name).samples}
        assert kept <= full[name]
        assert abs(len(kept) - len(full[name]) / 2) <= 1
    assert {s.split for s in open_images(spec, split="all").samples} == {""}
