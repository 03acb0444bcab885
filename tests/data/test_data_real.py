"""What is known about the public images in MEDROBUST_DATA: counts, duplicates, leaking groups."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from medrobust.data import ImageSet, View, list_images, open_images
from medrobust.data.check.duplicates import duplicates
from medrobust.data.check.facts import ImageFacts, collect
from medrobust.data.check.leakage import leakage
from medrobust.data.choose.leakage import straddling
from medrobust.data.choose.split_rules import split_images

ROOT = Path(os.environ.get("MEDROBUST_DATA", ""))
SPECS = {
    "busi": f"busi:{ROOT / 'Dataset_BUSI_with_GT'}",
    "chest_xray": f"chest_xray:{ROOT / 'chest_xray'}",
    "ham10000": f"ham10000:{ROOT / 'ham10000'}",
    "lidc": f"lidc:{ROOT / 'lidc_nodules'}",
}
pytestmark = pytest.mark.skipif("MEDROBUST_DATA" not in os.environ, reason="MEDROBUST_DATA is not set")


def by_class(images: ImageSet) -> dict[str, int]:
    return dict(Counter(images.classes[sample.label] for sample in images.samples))


@pytest.fixture(scope="module")
def checked() -> dict[str, tuple[ImageSet, list[ImageFacts]]]:
    """Sets that were looked through; each once for the module, as they take seconds."""
    return {}


def look(checked, name: str) -> tuple[ImageSet, list[ImageFacts]]:
    if name not in checked:
        images = list_images(SPECS[name])
        facts, broken = collect(images)
        assert not broken
        checked[name] = (images, facts)
    return checked[name]


def test_counts_and_groups():
    sets = {name: list_images(spec) for name, spec in SPECS.items()}
    assert by_class(sets["busi"]) == {"benign": 437, "malignant": 210, "normal": 133}
    assert by_class(sets["chest_xray"]) == {"NORMAL": 1583, "PNEUMONIA": 4273}
    assert Counter(s.split for s in sets["chest_xray"].samples) == {"train": 5216, "test": 640}
    ham = {"nv": 6705, "mel": 1113, "bkl": 1099, "bcc": 514, "akiec": 327, "vasc": 142, "df": 115}
    assert by_class(sets["ham10000"]) == ham
    assert by_class(sets["lidc"]) == {"benign": 1352, "malignant": 629}
    groups = {name: len(set(images.groups)) for name, images in sets.items()}
    assert groups == {"busi": 780, "chest_xray": 3118, "ham10000": 7470, "lidc": 795}


def test_busi_has_one_picture_with_two_labels(checked):
    images, facts = look(checked, "busi")
    exact, near, conflict = duplicates(images, facts)
    assert exact.numbers["groups"] == [["benign/benign (433).png", "malignant/malignant (145).png"]]
    assert (exact.severity, conflict.severity) == ("warn", "fail")
    assert conflict.numbers["num_exact"] == 1
    # Pawlowska et al. 2023 (doi:10.1016/j.dib.2023.109247) count 235 repeated images by eye
    assert 150 <= near.numbers["num_pairs"] <= 260


def test_chest_xray_has_30_repeated_pictures_and_170_patients_on_both_sides(checked):
    images, facts = look(checked, "chest_xray")
    exact, _, conflict = duplicates(images, facts)
    assert exact.numbers["num_byte_identical"] == 30
    assert (exact.numbers["num_images"], exact.numbers["num_across_splits"]) == (62, 0)
    assert conflict.severity == "pass"
    _, found, _ = leakage(images)
    assert found.severity == "fail"
    assert found.numbers["num_straddling"] == 170
    assert all(group.startswith("person") for group in found.numbers["groups"])
    again = split_images(images, "group")
    assert not straddling(again.samples).groups


def test_ham10000_has_two_repeated_pictures_and_leaks_by_image(checked):
    images, facts = look(checked, "ham10000")
    exact, _, conflict = duplicates(images, facts)
    pairs = [sorted(Path(name).stem for name in pair) for pair in exact.numbers["groups"]]
    assert sorted(pairs) == [["ISIC_0024366", "ISIC_0029861"], ["ISIC_0024777", "ISIC_0029938"]]
    assert exact.numbers["num_byte_identical"] == 2
    assert conflict.severity == "pass"
    known, official, image_level = leakage(images)
    assert known.numbers["num_groups"] == 7470
    assert official.severity == "not_run"
    assert image_level.numbers == {
        "num_groups": 7470,
        "num_straddling": 998,
        "test_images": 1502,
        "test_images_exposed": 512,
        "seed": 0,
    }


def test_the_papers_counts_on_ham10000_fit_by_lesion_and_leak_by_image():
    images = list_images(SPECS["ham10000"], classes=["mel", "bkl", "nv"])
    wanted = {("train", k): 800 for k in range(3)} | {("test", k): 299 for k in range(3)}
    by_lesion = split_images(images, "counts:800/0/299")
    assert Counter((s.split, s.label) for s in by_lesion.samples) == wanted
    assert not straddling(by_lesion.samples).groups
    with pytest.warns(UserWarning, match=r"image-level split of ham10000: \d+ of \d+ groups are on both sides"):
        by_image = split_images(images, "paper-counts:800/0/299")
    assert Counter((s.split, s.label) for s in by_image.samples) == wanted
    assert len(straddling(by_image.samples).groups) > 200


def test_pixels_come_out(checked):
    images = open_images(SPECS["lidc"], view=View(64, "grey"), limit=100)
    batch = images.batch(range(100))
    assert batch.x.shape == (100, 1, 64, 64)
    assert 0.1 < float(batch.x.mean()) < 0.6
    assert set(batch.y.tolist()) == {0, 1}
