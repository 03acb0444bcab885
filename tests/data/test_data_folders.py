"""folder:, busi: and chest_xray: on small trees in their native layout, and what a user can get wrong."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest
import torch

from medrobust.data import DATASETS, View, open_images


def test_folder(two_classes):
    images = open_images(f"folder:{two_classes}", view=View(color="grey"))
    assert images.classes == ("a", "b")
    assert images.name == "set"
    assert [s.image_id for s in images.samples] == [f"{c}/{k}.png" for c in "ab" for k in range(4)]
    assert images.labels.tolist() == [0] * 4 + [1] * 4
    assert images.groups == tuple(s.image_id for s in images.samples)
    x, label, i = images[6]
    assert (label, i, images.bit_depth(6)) == (1, 6, 8)
    torch.testing.assert_close(x, torch.full((1, 4, 6), 102 / 255), rtol=0, atol=1e-7)


def test_hidden_files_do_not_count_and_others_do(two_classes, fails):
    for name in ("a/.DS_Store", "a/Thumbs.db", "__MACOSX/a/._0.png", ".cache/x.png", "README.md"):
        path = two_classes / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("no image")
    assert len(open_images(f"folder:{two_classes}")) == 8
    (two_classes / "b" / "notes.txt").write_text("no image")
    assert "notes.txt: cannot be read: not an image" in fails(f"folder:{two_classes}")
    images = open_images(f"folder:{two_classes}", skip_broken=True)
    assert len(images) == 8
    assert images.broken == (("b/notes.txt", "not an image"),)


def test_truncated_file_is_named(two_classes, put, fails):
    put("set/a/2.png", value=9)
    damaged = two_classes / "a" / "2.png"
    damaged.write_bytes(damaged.read_bytes()[:-30])
    (two_classes / "b" / "0.png").write_bytes(b"")
    text = fails(f"folder:{two_classes}")
    assert "a/2.png" in text
    assert "1 more broken" in text
    assert "skip-broken" in text
    images = open_images(f"folder:{two_classes}", skip_broken=True)
    assert {name for name, _ in images.broken} == {"a/2.png", "b/0.png"}
    assert len(images) == 6
    assert Counter(images.labels.tolist()) == {0: 3, 1: 3}


def test_wrong_folders(two_classes, tmp_path, fails):
    assert "nowhere: no such folder" in fails(f"folder:{tmp_path}/nowhere")
    assert "no path given" in fails("folder:")
    assert "is a file" in fails(f"folder:{two_classes}/a/0.png")
    assert "no class folders" in fails(f"folder:{two_classes}/a")
    shutil.rmtree(two_classes / "b")
    assert "only one class, 'a'" in fails(f"folder:{two_classes}")
    (two_classes / "b").mkdir()
    assert "class folder 'b' is empty" in fails(f"folder:{two_classes}")
    shutil.rmtree(two_classes / "a")
    (two_classes / "a").mkdir()
    assert "no images" in fails(f"folder:{two_classes}")


def test_wrong_names(two_classes, fails):
    assert fails(f"foldr:{two_classes}") == "data.name: unknown data set 'foldr'. Did you mean 'folder'?"
    assert "unknown class 'c'" in fails(f"folder:{two_classes}", classes=["a", "c"])
    assert "fewer than two" in fails(f"folder:{two_classes}", classes=["a"])
    assert "named twice" in fails(f"folder:{two_classes}", classes=["a", "a"])
    assert "unknown split 'tset'" in fails(f"folder:{two_classes}", split="tset")
    assert "data.limit" in fails(f"folder:{two_classes}", limit=0)
    assert "folder has no such option. Did you mean 'group'?" in fails(f"folder:{two_classes}", goup="x")
    assert "data.options.group: ['x'] is not a text" in fails(f"folder:{two_classes}", group=["x"])
    assert "data.options.group: phantom has no such option. It has none" in fails("phantom", group="x")
    assert "not a regular expression" in fails(f"folder:{two_classes}", group="(")


def test_classes_restrict_order_merge_and_rest(put, tmp_path):
    for name in "abcd":
        put(f"set/{name}/0.png")
    spec = f"folder:{tmp_path / 'set'}"
    chosen = open_images(spec, classes=["d", "a"])
    assert chosen.classes == ("d", "a")
    assert {s.image_id: s.label for s in chosen.samples} == {"a/0.png": 1, "d/0.png": 0}
    merged = open_images(spec, classes=["rest", "bad=a+c"])
    assert merged.classes == ("rest", "bad")
    assert {s.image_id: s.label for s in merged.samples} == {"a/0.png": 1, "b/0.png": 0, "c/0.png": 1, "d/0.png": 0}


def test_broken_files_of_other_classes_do_not_matter(two_classes):
    (two_classes / "c").mkdir()
    (two_classes / "c" / "0.png").write_bytes(b"")
    assert len(open_images(f"folder:{two_classes}", classes=["b", "a"])) == 8


def test_split_folders_and_groups(put, tmp_path):
    for split in ("train", "test"):
        for name in "ab":
            for k in range(20):
                put(f"set/{split}/{name}/patient{k // 2}_{k}.png", value=k)
    spec = f"folder:{tmp_path / 'set'}"
    options = {"group": r"(patient\d+)"}
    assert len(open_images(spec, **options)) == 40  # auto is the test split of the source
    assert len(open_images(spec, split="all", **options)) == 80
    train, val = (open_images(spec, split=split, **options) for split in ("train", "val"))
    assert len(train) + len(val) == 40
    assert 0 < len(val) < 12
    assert not set(train.groups) & set(val.groups)
    assert train.samples[0].image_id.startswith("train/a/")


def test_nested_patient_folders(put, tmp_path):
    for k in range(3):
        put(f"set/a/p{k}/x.png")
        put(f"set/b/p{k}/x.png")
    images = open_images(f"folder:{tmp_path / 'set'}", group=r"^[ab]/(p\d)/")
    assert images.samples[1].image_id == "a/p1/x.png"
    assert images.groups == ("p0", "p1", "p2") * 2


def test_busi(put, tmp_path, fails):
    for name, count in (("benign", 3), ("malignant", 2), ("normal", 1)):
        for k in range(1, count + 1):
            put(f"Dataset_BUSI_with_GT/{name}/{name} ({k}).png", value=k)
            put(f"Dataset_BUSI_with_GT/{name}/{name} ({k})_mask.png", value=255)
    put("Dataset_BUSI_with_GT/benign/benign (1)_mask_1.png", value=255)
    for path in (tmp_path, tmp_path / "Dataset_BUSI_with_GT"):
        images = open_images(f"busi:{path}", view=View(color="grey"))
        assert Counter(images.labels.tolist()) == {0: 3, 1: 2, 2: 1}
        assert images.samples[3].image_id == "malignant/malignant (1).png"
        assert images[4][0].unique().tolist() == pytest.approx([2 / 255])
        assert images.positive_index == 1
    pair = open_images(f"busi:{tmp_path}", classes=["benign", "malignant"])
    assert pair.classes == ("benign", "malignant")
    assert len(pair) == 5
    assert pair.positive_index == 1
    shutil.rmtree(tmp_path / "Dataset_BUSI_with_GT" / "normal")
    assert "class folder 'normal' is missing" in fails(f"busi:{tmp_path}")


def test_chest_xray(put, tmp_path, fails):
    names = {
        "train/NORMAL": ["IM-0115-0001", "NORMAL2-IM-0059-0001", "NORMAL2-IM-0059-0001-0002"],
        "train/PNEUMONIA": ["person1_bacteria_1", "person1_bacteria_2", "person2_virus_3"],
        "test/NORMAL": ["IM-0001-0001"],
        "test/PNEUMONIA": ["person1_virus_6", "person3_virus_7"],
    }
    for folder, stems in names.items():
        for stem in stems:
            put(f"chest_xray/{folder}/{stem}.jpeg")
    images = open_images(f"chest_xray:{tmp_path / 'chest_xray'}", split="all")
    assert images.classes == ("NORMAL", "PNEUMONIA")
    assert images.positive_index == 1
    groups = {s.image_id.rsplit("/", 1)[1]: s.group_id for s in images.samples}
    assert groups["person1_bacteria_2.jpeg"] == groups["person1_virus_6.jpeg"] == "person1"
    assert groups["NORMAL2-IM-0059-0001-0002.jpeg"] == "NORMAL2-IM-0059"
    assert groups["IM-0115-0001.jpeg"] == "IM-0115"
    assert Counter(s.split for s in images.samples) == {"train": 6, "test": 3}
    assert len(open_images(f"chest_xray:{tmp_path}")) == 3
    assert "no such folder" in fails(f"chest_xray:{tmp_path}/elsewhere")


def test_every_entry_refuses_a_missing_path(tmp_path, fails):
    names = sorted(set(DATASETS) - {"phantom", "medmnist"})  # these two make or fetch their images
    assert len(names) >= 4
    for name in names:
        assert "nowhere" in fails(f"{name}:{tmp_path}/nowhere"), name
        assert "no path" in fails(f"{name}:"), name
