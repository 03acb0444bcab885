"""Folders that mix classes with splits, copies, masks or loops are refused in one line, before anything is decoded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from medrobust.data import View, open_images
from medrobust.data.unlabeled import open_unlabeled

GREY = View(color="grey")


def tree(put, root: str, folders: list[str], count: int = 2) -> None:
    for k, folder in enumerate(folders):
        for j in range(count):
            put(f"{root}/{folder}/{j}.png", value=10 * k + j)


def test_some_folders_named_as_splits(put, tmp_path, fails):
    tree(put, "x", [f"{split}/{name}" for split in ("TRAIN", "TEST", "TEST_SIMPLE") for name in "ab"])
    text = fails(f"folder:{tmp_path / 'x'}")
    assert "x: TEST, TRAIN are named as splits, TEST_SIMPLE not" in text
    tree(put, "y", ["train", "test", "benign", "malignant"])
    assert "test, train are named as splits, benign, malignant not" in fails(f"folder:{tmp_path / 'y'}")
    tree(put, "z", ["val/a", "validation/a", "train/a", "train/b"])
    assert "two of its folders are one split: train, val, validation" in fails(f"folder:{tmp_path / 'z'}")


def test_a_copy_of_the_set_inside_it(put, tmp_path, fails):
    splits = [f"{split}/{name}" for split in ("train", "val", "test") for name in ("NORMAL", "PNEUMONIA")]
    tree(put, "chest_xray", [*splits, *(f"chest_xray/{folder}" for folder in splits)])
    text = fails(f"folder:{tmp_path / 'chest_xray'}")
    assert "chest_xray (a copy of the set?) not" in text
    assert len(open_images(f"chest_xray:{tmp_path / 'chest_xray'}", split="all")) == 12  # the copy, once
    assert len(open_images(f"folder:{tmp_path / 'chest_xray' / 'chest_xray'}", split="all")) == 12
    tree(put, "outer/inner", ["train/a", "train/b", "test/a", "test/b"])
    assert f"only one class, 'inner'. Give {tmp_path / 'outer' / 'inner'}" in fails(f"folder:{tmp_path / 'outer'}")


@pytest.mark.parametrize(
    ("first", "second"),
    [("Benign", "benign"), ("no tumor", "no_tumor"), ("No-Tumor", "notumor"), ("01", "1"), ("1.0", "1")],
)
def test_one_class_in_two_spellings(put, tmp_path, fails, first, second):
    tree(put, "x", [f"train/{first}", "train/zebra", f"test/{second}", "test/zebra"])
    text = fails(f"folder:{tmp_path / 'x'}")
    assert f"train/{first}" in text
    assert f"test/{second}" in text
    assert "differ only in spelling" in text
    tree(put, "y", [first, second])
    assert "differ only in spelling" in fails(f"folder:{tmp_path / 'y'}")


def test_splits_below_classes(put, tmp_path, fails):
    tree(put, "x", ["benign/train", "benign/test", "malignant/train", "malignant/test"])
    text = fails(f"folder:{tmp_path / 'x'}")
    assert "'benign' holds folders named as splits: test, train. Put the splits above the classes" in text


def test_names_that_are_not_utf_8(two_classes, fails):
    os.rename(os.fsencode(two_classes / "a" / "0.png"), os.fsencode(two_classes / "a") + b"/l\xe9sion.png")
    text = fails(f"folder:{two_classes}")
    text.encode()
    assert r"the name l\xe9sion.png is not in UTF-8" in text
    os.rename(os.fsencode(two_classes / "a") + b"/l\xe9sion.png", two_classes / "a" / "0.png")
    os.rename(two_classes / "b", os.fsencode(two_classes) + b"/b\xe9nin")
    assert r"the name b\xe9nin is not in UTF-8" in fails(f"folder:{two_classes}")
    outside = os.fsdecode(os.fsencode(two_classes.parent) + b"/donn\xe9es")
    two_classes.rename(outside)
    assert r"the name donn\xe9es is not in UTF-8" in fails(f"folder:{outside}")
    assert r"the name t\xe9st.csv is not in UTF-8" in fails("csv:" + os.fsdecode(b"t\xe9st.csv"))


def test_links(two_classes, tmp_path, put, fails):
    put("elsewhere/deep/9.png", value=9)
    (two_classes / "a" / "more").symlink_to(tmp_path / "elsewhere")
    (two_classes / "b" / "one.png").symlink_to(tmp_path / "elsewhere" / "deep" / "9.png")
    images = open_images(f"folder:{two_classes}", view=GREY)
    assert [s.image_id for s in images.samples][4:6] == ["a/more/deep/9.png", "b/0.png"]
    assert len(images) == 10
    (two_classes / "b" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert "b/gone.png: cannot be read: a link to a file that is not there" in fails(f"folder:{two_classes}")
    assert len(open_images(f"folder:{two_classes}", skip_broken=True)) == 10
    (two_classes / "c").symlink_to(tmp_path / "nowhere")
    assert "set/c: is a link to something that is not there" in fails(f"folder:{two_classes}")


@pytest.mark.parametrize("target", ["..", ".", "../..", "../../.."])
def test_loops(two_classes, fails, target):
    (two_classes / "a" / "all").symlink_to(target)
    text = fails(f"folder:{two_classes}")
    assert "set/a/all: is a link that leads back to a folder above it" in text


def test_a_link_to_itself_and_a_closed_folder(two_classes, fails):
    (two_classes / "a" / "self").symlink_to("self")
    assert "a/self: cannot be read: too many levels of symbolic links" in fails(f"folder:{two_classes}")
    (two_classes / "a" / "self").unlink()
    if os.geteuid() == 0:
        pytest.skip("root may read every folder")
    (two_classes / "a").chmod(0)
    assert "cannot be listed: permission denied" in fails(f"folder:{two_classes}")
    (two_classes / "a").chmod(0o755)


@pytest.fixture
def masked(put, tmp_path: Path) -> Path:
    """Two images a class, with masks beside them under several names."""
    for c in ("benign", "malignant"):
        for k in (1, 2):
            put(f"set/{c}/{c} ({k}).png", value=k)
    put("set/benign/benign (1)_mask.png", value=255)
    put("set/benign/benign (1)_mask_1.png", value=255)
    put("set/malignant/malignant (2)-Segmentation.tif", value=255)
    return tmp_path / "set"


def test_masks_beside_images_are_named(masked, fails):
    text = fails(f"folder:{masked}")
    assert "3 files look like masks of images, for example benign/benign (1)_mask.png" in text
    assert "data.options.masks=skip" in text
    assert len(open_images(f"folder:{masked}", masks="skip")) == 4
    assert len(open_images(f"folder:{masked}", masks="keep")) == 7
    assert "unknown word 'drop'. Valid: skip, keep" in fails(f"folder:{masked}", masks="drop")


def test_a_mask_alone_is_left_out_with_the_others(masked, put):
    put("set/benign/other_mask.png", value=255)
    assert len(open_images(f"folder:{masked}", masks="skip")) == 4


def test_masks_in_folders(put, tmp_path, fails):
    for c in ("COVID", "Normal"):
        for k in (1, 2):
            put(f"set/{c}/images/{c}-{k}.png", value=k)
            put(f"set/{c}/masks/{c}-{k}.png", value=255)
    text = fails(f"folder:{tmp_path / 'set'}")
    assert "4 files look like masks of images, for example COVID/masks/COVID-1.png" in text
    images = open_images(f"folder:{tmp_path / 'set'}", masks="skip")
    assert [s.image_id for s in images.samples][:2] == ["COVID/images/COVID-1.png", "COVID/images/COVID-2.png"]


def test_names_that_only_sound_like_masks(two_classes, put):
    put("set/a/unmasked.png")
    put("set/a/x_mask.png")  # of which there is no image
    assert len(open_images(f"folder:{two_classes}")) == 10


def test_masks_among_images_without_labels(masked, two_classes, put, fails):
    like = open_images(f"folder:{masked}", masks="skip")
    with pytest.raises(Exception, match="look like masks of images"):
        open_unlabeled(f"folder:{masked}", like)


def test_a_set_that_leaves_masks_out_itself_is_not_asked(put, tmp_path):
    for c in ("benign", "malignant", "normal"):
        put(f"{c}/{c} (1).png")
        put(f"{c}/{c} (1)_mask.png", value=255)
    assert len(open_images(f"busi:{tmp_path}")) == 3
