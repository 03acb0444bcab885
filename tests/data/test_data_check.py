"""The checker finds what is planted in small sets and says nothing about a clean one."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from medrobust.data import list_images
from medrobust.data.check import as_text, check_images
from medrobust.data.check.counts import balance, corrupt
from medrobust.data.check.counts import counts as count_images
from medrobust.data.check.duplicates import clusters, duplicates, near_pairs
from medrobust.data.check.facts import collect, perceptual_hash
from medrobust.data.check.identifiers import dicom_identifiers
from medrobust.data.check.leakage import leakage
from medrobust.data.check.shortcuts import shortcuts
from medrobust.data.commands import link
from medrobust.findings import verdict
from medrobust.testing.image_sets import tiny_set

RNG = np.random.default_rng(0)


def smooth(seed: int, size: int = 48) -> np.ndarray:
    """A picture with structure: six waves of random direction."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    waves = sum(np.cos(2 * np.pi * (rng.normal() * 3 * x + rng.normal() * 3 * y) + rng.uniform(0, 6)) for _ in range(6))
    waves = waves + 0.1 * rng.normal(size=waves.shape)
    return ((waves - waves.min()) / np.ptp(waves) * 255).astype(np.uint8)


@pytest.fixture
def clean(put, tmp_path):
    """50 different pictures in two classes and patients of two images, in train and test folders."""
    for k in range(50):
        split = "test" if k >= 40 else "train"
        put(f"set/{split}/{'ab'[k // 2 % 2]}/p{k // 4 * 2 + k // 2 % 2}_{k}.png", array=smooth(k))
    return tmp_path / "set"


def found(root, **options):
    """The findings but for shortcuts, which take a second."""
    images = list_images(f"folder:{root}", group=r"(p\d+)_", **options)
    facts, broken = collect(images)
    findings = [corrupt(images, broken), *duplicates(images, facts), *leakage(images)]
    return {finding.id: finding for finding in [*findings, balance(images)]}


def test_a_clean_set_passes(clean):
    findings = {f.id: f for f in check_images(list_images(f"folder:{clean}", group=r"(p\d+)_"))}
    assert {name: f.severity for name, f in findings.items()} == {
        "data-counts": "pass",
        "data-corrupt": "pass",
        "data-exact-duplicates": "pass",
        "data-near-duplicates": "pass",
        "data-label-conflicts": "pass",
        "data-groups-known": "pass",
        "data-group-leakage": "pass",
        "data-image-level-split": "warn",
        "data-class-balance": "pass",
        "data-shortcuts": "pass",
        "data-dicom-identifiers": "not_run",
    }
    numbers = findings["data-counts"].numbers
    assert numbers["num_images"] == 50
    assert numbers["sizes"] == {"48x48": 50}
    assert findings["data-group-leakage"].numbers["num_groups"] == numbers["num_groups"] == 25


def test_exact_duplicates_within_and_across_splits_and_formats(clean):
    first = clean / "train" / "a" / "p0_0.png"
    shutil.copy(first, clean / "train" / "a" / "p50_99.png")
    finding = found(clean)["data-exact-duplicates"]
    assert finding.severity == "warn"
    assert finding.numbers["groups"] == [["train/a/p0_0.png", "train/a/p50_99.png"]]
    assert (finding.numbers["num_byte_identical"], finding.numbers["num_across_groups"]) == (1, 1)
    Image.open(first).save(clean / "test" / "a" / "p51_98.tif")  # one picture, another format, the other side
    finding = found(clean)["data-exact-duplicates"]
    assert finding.severity == "fail"
    assert (finding.numbers["num_groups"], finding.numbers["num_images"], finding.numbers["num_across_splits"]) == (
        1,
        3,
        1,
    )
    assert finding.numbers["num_byte_identical"] == 1


def test_near_duplicates_survive_size_compression_and_brightness(clean):
    picture = Image.open(clean / "train" / "b" / "p1_2.png")
    picture.resize((60, 60)).save(clean / "train" / "b" / "p60_90.jpg", quality=60)
    findings = found(clean)
    near = findings["data-near-duplicates"]
    assert near.severity == "warn"
    assert near.numbers["pairs_across_groups"] == [["train/b/p1_2.png", "train/b/p60_90.jpg"]]
    assert findings["data-label-conflicts"].severity == "pass"
    picture.point(lambda value: value * 0.8 + 10).save(clean / "test" / "a" / "p61_91.png")
    findings = found(clean)
    assert findings["data-near-duplicates"].severity == "fail"
    assert findings["data-near-duplicates"].numbers["num_pairs_across_splits"] == 2
    conflict = findings["data-label-conflicts"]
    assert (conflict.severity, conflict.numbers["num_exact"], conflict.numbers["num_near"]) == ("warn", 0, 2)


def test_conflicting_labels_of_one_picture(clean):
    shutil.copy(clean / "train" / "a" / "p0_0.png", clean / "train" / "b" / "p70_95.png")
    finding = found(clean)["data-label-conflicts"]
    assert finding.severity == "fail"
    assert "train/a/p0_0.png (a) / train/b/p70_95.png (b)" in finding.evidence


def test_groups_on_both_sides(clean):
    for k in (1, 5):
        file = next(clean.glob(f"train/*/p*_{k}.png"))
        file.rename(clean / "test" / file.parent.name / file.name)
    finding = found(clean)["data-group-leakage"]
    assert finding.severity == "fail"
    assert (finding.numbers["num_straddling"], finding.numbers["exposed"]) == (2, {"test": 2})
    assert "data.splits=group" in finding.advice
    assert found(clean, splits="group")["data-group-leakage"].severity == "pass"


def test_what_an_image_level_split_would_leak(clean):
    finding = found(clean)["data-image-level-split"]
    assert finding.numbers["num_groups"] == 25  # of two images each
    assert 8 <= finding.numbers["num_straddling"] <= 20
    assert 0 < finding.numbers["test_images_exposed"] <= finding.numbers["test_images"]
    alone = {finding.id: finding for finding in leakage(list_images(f"folder:{clean}"))}
    assert alone["data-groups-known"].severity == "warn"
    assert alone["data-image-level-split"].severity == alone["data-group-leakage"].severity == "not_run"


def test_corrupt_files_and_imbalance(clean):
    (clean / "train" / "a" / "p0_0.png").write_bytes(b"")
    findings = found(clean)
    assert findings["data-corrupt"].severity == "fail"
    assert findings["data-corrupt"].numbers["broken"] == {"train/a/p0_0.png": "empty file"}
    for file in list(clean.glob("*/a/*.png"))[3:]:
        file.unlink()
    balance = found(clean)["data-class-balance"]
    assert balance.severity == "warn"
    assert balance.numbers["ratio"] == 8


@pytest.mark.parametrize("planted", ["size", "format", "padding", "brightness", "mode"])
def test_shortcuts_are_found(put, tmp_path, planted):
    for k in range(80):
        label, picture = k % 2, smooth(k)
        suffix = "png"
        if label and planted == "size":
            picture = smooth(k, 50)
        elif label and planted == "padding":
            picture = np.pad(picture[4:-4], ((4, 4), (0, 0)))
        elif planted == "brightness":
            picture = (picture * 0.6 + 60 * label).astype(np.uint8)
        elif label and planted == "format":
            suffix = "tif"
        elif label and planted == "mode":
            picture = np.dstack([picture] * 3)
        put(f"set/{'ab'[label]}/{k}.{suffix}", array=picture)
    finding = shortcuts(collect(list_images(f"folder:{tmp_path / 'set'}"))[0])
    assert finding.severity == "fail"
    assert finding.numbers["auc"] > 0.95
    name = {
        "size": {"height", "width", "bytes per pixel"},
        "format": {"format", "bytes per pixel"},
        "padding": {"padding", "bytes per pixel"},
        "brightness": {"mean intensity"},
        "mode": {"color mode", "bytes per pixel"},
    }[planted]
    assert next(iter(finding.numbers["features"])) in name


def test_few_images_say_nothing_about_shortcuts(two_classes):
    assert shortcuts(collect(list_images(f"folder:{two_classes}"))[0]).severity == "not_run"


@pytest.mark.parametrize(
    ("tags", "severity", "told"),
    [
        ({"PatientName": "Doe^Jane", "PatientIdentityRemoved": "YES"}, "fail", "PatientName in 4 of 4"),
        ({"PatientBirthDate": "19611224"}, "fail", "PatientBirthDate"),
        ({"InstitutionName": "St. Elsewhere"}, "warn", "InstitutionName"),
        ({"BurnedInAnnotation": "YES", "PatientIdentityRemoved": "YES"}, "warn", "burned-in annotation in 4"),
        ({"PatientName": "LIDC-IDRI-0001", "PatientID": "0001", "PatientIdentityRemoved": "YES"}, "pass", "none in 4"),
        ({"PatientName": "Anonymous^", "PatientBirthDate": "19000101"}, "pass", "none in 4"),
    ],
)
def test_identifiers_in_dicom_headers(dicom, tmp_path, tags, severity, told):
    for k in range(4):
        dicom(smooth(k), f"set/{'ab'[k % 2]}/{k}.dcm", **tags)
    finding = dicom_identifiers(list_images(f"folder:{tmp_path / 'set'}"))
    assert finding.severity == severity
    assert told in finding.evidence
    assert "Doe" not in json.dumps([finding.evidence, dict(finding.numbers)])


def test_mixed_depths_are_named(put, tmp_path):
    for k in range(4):
        put(f"set/{'ab'[k % 2]}/{k}.png", array=smooth(k).astype(np.uint16 if k % 2 else np.uint8))
    images = list_images(f"folder:{tmp_path / 'set'}")
    counts = count_images(images, collect(images)[0])
    assert counts.severity == "warn"
    assert counts.numbers["bits"] == {"8": 2, "16": 2}


def test_the_table_starts_with_the_worst(clean):
    shutil.copy(clean / "train" / "a" / "p0_0.png", clean / "train" / "b" / "p70_95.png")
    findings = list(found(clean).values())
    assert verdict(findings) == "fail"
    assert as_text(findings).startswith("fail     Label conflicts")


def test_linking_duplicates_joins_their_groups(clean):
    shutil.copy(clean / "train" / "a" / "p0_0.png", clean / "train" / "a" / "p50_99.png")
    images = list_images(f"folder:{clean}", group=r"(p\d+)_")
    linked = link(images)
    assert len(set(linked.groups)) == len(set(images.groups)) - 1
    by_id = {s.image_id: s.group_id for s in linked.samples}
    assert by_id["train/a/p50_99.png"] == by_id["train/a/p0_0.png"] == by_id["train/a/p0_1.png"]


def test_clusters_are_connected_positions_in_order():
    assert clusters([]) == []
    assert clusters([(9, 5), (1, 2), (5, 3), (7, 7)]) == [[1, 2], [3, 5, 9], [7]]


def test_near_pairs_have_few_different_bits():
    facts, _ = collect(tiny_set(12))
    hashes = RNG.integers(0, 1 << 64, 12, dtype=np.uint64).tolist()
    facts = [dataclasses.replace(facts[0], hash=value) for value in hashes]
    bits = {(i, j): (facts[i].hash ^ facts[j].hash).bit_count() for i in range(12) for j in range(i + 1, 12)}
    most = sorted(bits.values())[30]
    assert near_pairs(facts, max_bits=most) == sorted(pair for pair, count in bits.items() if count <= most)


def test_near_pairs_do_not_depend_on_the_block(monkeypatch):
    facts, _ = collect(tiny_set(30))
    facts += facts[:7]
    expected = near_pairs(facts)
    assert set(expected) >= {(k, 30 + k) for k in range(7)}
    monkeypatch.setattr("medrobust.data.check.duplicates._BLOCK", 4)
    assert sorted(near_pairs(facts)) == sorted(expected)


def test_perceptual_hash_ignores_brightness_and_scale():
    picture = smooth(3, 32).astype(float)
    assert perceptual_hash(picture) == perceptual_hash(picture * 0.5 + 20)
    assert (perceptual_hash(picture) ^ perceptual_hash(smooth(4, 32).astype(float))).bit_count() > 15
