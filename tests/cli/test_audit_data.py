"""What medrobust data check finds is found by an audit; options, splits and units of a set reach it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.run import QUICK, refused, run


def audited(capsys, model: Path, spec: str, out: Path, *more: str) -> tuple[dict, str]:
    words = [word for word in QUICK if not word.startswith("data.split")]
    code, said, err = run(capsys, "audit", "--model", model, "--data", spec, "--out", out, *words, *more)
    assert code == 0, err
    return json.loads((out / "audit.json").read_text()), said


def severities(content: dict) -> dict[str, str]:
    return {row["id"]: row["severity"] for row in content["findings"] if row["id"].startswith("data-")}


@pytest.fixture
def split_images(tmp_path: Path) -> Path:
    """Train and test folders; patients p0 to p5 have two pictures each, in one of them."""
    rng = np.random.default_rng(1)
    for patient in range(12):
        split, name = ("test" if patient >= 8 else "train"), ("benign", "malignant")[patient % 2]
        for k in range(2):
            folder = tmp_path / "set" / split / name
            folder.mkdir(parents=True, exist_ok=True)
            pixels = np.kron(rng.integers(0, 255, (8, 8)), np.ones((4, 4))).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"p{patient}_{k}.png")
    return tmp_path / "set"


GROUP = r"data.options.group=(p\d+)_"


def test_a_clean_set_raises_nothing(capsys, split_images, checkpoint, tmp_path) -> None:
    content, _ = audited(capsys, checkpoint, f"folder:{split_images}", tmp_path / "run", GROUP)
    assert content["data"]["num_images"] == 8
    assert content["data"]["num_groups"] == 4
    assert severities(content) == {
        "data-counts": "pass",
        "data-exact-duplicates": "pass",
        "data-near-duplicates": "pass",
        "data-label-conflicts": "pass",
        "data-groups-known": "pass",
        "data-group-leakage": "pass",
        "data-class-balance": "warn",  # fewer than 20 images
        "data-shortcuts": "not_run",
        "data-dicom-identifiers": "not_run",
    }


def test_leaks_between_the_audited_split_and_the_others_are_found(capsys, split_images, checkpoint, tmp_path) -> None:
    train, test = split_images / "train", split_images / "test"
    shutil.copy(train / "benign" / "p0_0.png", test / "malignant" / "p0_9.png")  # picture, patient, another label
    shutil.copy(train / "benign" / "p2_0.png", train / "benign" / "p4_9.png")  # not in the audited split
    content, _ = audited(capsys, checkpoint, f"folder:{split_images}", tmp_path / "run", GROUP)
    found = {row["id"]: row for row in content["findings"]}
    assert found["data-exact-duplicates"]["severity"] == "fail"
    assert found["data-exact-duplicates"]["evidence"].startswith("1 sets of identical pictures (2 images")
    assert found["data-label-conflicts"]["severity"] == "fail"
    assert found["data-group-leakage"]["severity"] == "fail"
    assert found["data-group-leakage"]["evidence"].startswith("1 of 5 groups are on both sides: 1 images of test")
    page = (tmp_path / "run" / "report.html").read_text()
    assert "data-group-leakage" in page
    only_train, _ = audited(capsys, checkpoint, f"folder:{split_images}", tmp_path / "t", GROUP, "data.split=train")
    evidence = {row["id"]: row["evidence"] for row in only_train["findings"]}["data-exact-duplicates"]
    assert evidence.startswith("2 sets of identical pictures")


def test_the_phantom_says_what_was_not_compared(capsys, checkpoint, tmp_path) -> None:
    spec = "phantom:ct@32,count=160"
    content, said = audited(capsys, checkpoint, spec, tmp_path / "run", "attacks=[fgsm]", "data.limit=20")
    found = {row["id"]: row for row in content["findings"]}
    assert found["data-exact-duplicates"]["severity"] == "pass"
    assert "140 other images of the set were not compared" in found["data-near-duplicates"]["evidence"]
    assert found["data-group-leakage"]["severity"] == "pass"
    assert content["data"]["source"]["unit"] == "HU"
    assert [point["high"] for point in content["data"]["source"]["budgets"]] == [5.4902, 43.9216]
    assert "1/255 is 5.49 HU of the file" in said
    assert "1/255 is 5.49 HU of the file" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("data.options.gruop=(p)",), "data.options.gruop: folder has no such option. Did you mean 'group'?"),
        (("data.options.group=(",), "data.options.group: '(' is not a regular expression"),
        (("data.options=group",), "data.options"),
        (("data.name=phantom:ct,cuont=80",), "unknown option 'cuont'. Did you mean 'count'?"),
        (("data.name=phantom:mri",), "unknown modality 'mri'"),
        (("data.name=phantom", "data.options.size=3"), "phantom has no such option"),
        (("data.splits=fold:1/5@x",), "'x' is not a seed"),
    ],
)
def test_wrong_options_are_refused(words, text, capsys, split_images, checkpoint, tmp_path) -> None:
    data = () if words[0].startswith("data.name") else ("--data", f"folder:{split_images}")
    line = refused(capsys, "audit", "--model", checkpoint, "--out", tmp_path / "run", *QUICK, *data, *words)
    assert text in line
    assert not (tmp_path / "run").exists()


NETS = """
from torch import nn
from torch.nn import AdaptiveAvgPool3d, Conv3d, Flatten, Linear

def volumes():
    return nn.Sequential(Conv3d(1, 2, 3, padding=1), AdaptiveAvgPool3d(2), Flatten(), Linear(16, 2))

def wide():
    return nn.Sequential(Flatten(), Linear(8 * 12, 2))
"""


@pytest.mark.parametrize(("network", "shape"), [("volumes", (6, 8, 12)), ("wide", (8, 12))])
def test_networks_are_tried_with_the_shape_of_the_images(capsys, monkeypatch, tmp_path, network, shape) -> None:
    (tmp_path / "nets_of_shapes.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    rng = np.random.default_rng(0)
    for k in range(8):
        folder = tmp_path / "set" / "ab"[k % 2]
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{k}.npy", rng.integers(0, 255, shape, dtype=np.uint8))
    place, model = tmp_path / "run", f"nets_of_shapes:{network}"
    content, _ = audited(capsys, model, f"folder:{tmp_path / 'set'}", place, "data.color=grey", "data.split=all")
    assert content["data"]["num_images"] == 8
    assert (place / "report.html").is_file()
