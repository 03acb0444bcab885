"""Several sets as one."""

from __future__ import annotations

from collections import Counter

import pytest

from medrobust.data import View, open_images


@pytest.fixture
def pair(put, tmp_path):
    for name in ("benign", "malignant", "normal"):
        for k in range(1, 4):
            put(f"busi/{name}/{name} ({k}).png", value=10 * k)
    for k in range(1, 5):
        put(f"BUSIS/Original/case{k}.bmp", value=100 + k)
    (tmp_path / "BUSIS" / "BUSIS.csv").write_text(
        "img name,tumor type\n" + "".join(f"case{k},{'BM'[k % 2]}\n" for k in range(1, 5))
    )
    return f"busi:{tmp_path / 'busi'}+busis:{tmp_path / 'BUSIS'}"


def test_classes_are_joined_by_name(pair):
    images = open_images(pair, classes=["benign", "malignant"], view=View(color="grey"))
    assert images.name == "busi+busis"
    assert Counter(images.labels.tolist()) == {0: 5, 1: 5}
    assert images.positive_index == 1
    assert {s.metadata["source"] for s in images.samples} == {"busi", "busis"}
    last = [i for i, s in enumerate(images.samples) if s.image_id == "busis/Original/case4.bmp"]
    assert round(float(images[last[0]][0].mean()) * 255) == 104
    assert images.samples[last[0]].group_id == "busis/Original/case4.bmp"
    assert len(open_images(pair)) == 13
    assert (
        images.fingerprint()
        == open_images(pair, classes=["benign", "malignant"], view=View(color="grey")).fingerprint()
    )


def test_the_parts_keep_their_own_splits_and_decoders(put, tmp_path):
    for split in ("train", "test"):
        for name in "ab":
            for k in range(3):
                put(f"one/{split}/{name}/{k}.png", value=k)
    for name in "ab":
        for k in range(20):
            put(f"two/{name}/{k}.png", value=50 + k)
    spec = f"folder:{tmp_path / 'one'}+folder:{tmp_path / 'two'}"
    test = open_images(spec, split="test")
    assert Counter(s.image_id.split("/")[0] for s in test.samples) == {"one": 6, "two": 6}
    everything = open_images(spec, split="all", view=View(color="grey"))
    assert len(everything) == 52
    assert round(float(everything[51][0].mean()) * 255) > 50


def test_two_sets_of_one_name_and_the_cache(put, tmp_path, cache_root):
    for part in ("x/set", "y/set"):
        for name in "ab":
            for k in range(20):
                put(f"{part}/{name}/{k}.png", value=k + (100 if part[0] == "y" else 0))
    spec = f"folder:{tmp_path / 'x/set'}+folder:{tmp_path / 'y/set'}"
    for _ in range(2):
        images = open_images(spec, view=View(color="grey"))
        assert {s.image_id.split("/")[0] for s in images.samples} == {"set", "set-2"}
        assert round(float(images[0][0].mean()) * 255) == 0
        assert round(float(images[40][0].mean()) * 255) == 100
    assert len([path for path in (cache_root / "images").iterdir() if path.is_dir()]) == 1


def test_parts_without_a_common_class(put, tmp_path, fails):
    for part, names in (("one", "ab"), ("two", "cd")):
        for name in names:
            put(f"{part}/{name}/0.png")
    assert "share no class" in fails(f"folder:{tmp_path / 'one'}+folder:{tmp_path / 'two'}")
    assert "no such folder" in fails(f"folder:{tmp_path / 'one'}+folder:{tmp_path / 'three'}")
