"""Two sources of one fact, through the command line: class names, what was trained on, the range of pixels."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cli.run import refused, run
from medrobust.records.records import Records

AUDIT = ("attacks=[fgsm]", "threat.epsilons=[1/255]", "device=cpu", "batch_size=8")
TRAIN = """
model: zoo:cbr_tiny(width=4)
data: {{name: "folder:{images}"{more}}}
epochs: 1
batch_size: 8
objective: clean
validation: {{metric: loss}}
"""


def write(folder: Path, classes: dict[str, int], per_class: int = 20) -> Path:
    """Grey images of noise around a brightness, one folder a class."""
    rng = np.random.default_rng(0)
    for name, level in classes.items():
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            pixels = rng.integers(level, level + 100, (32, 32)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:02}.png")
    return folder


def pixels_of(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)


def train(capsys, images: Path, out: Path, more: str = "") -> Path:
    recipe = out.parent / f"{out.name}.yaml"
    recipe.write_text(TRAIN.format(images=images, more=more))
    code, _, err = run(capsys, "train", recipe, "--out", out)
    assert code == 0, err
    return out


def audit(capsys, model: Path | str, data: str, out: Path, *more: str) -> dict[str, Any]:
    code, _, err = run(capsys, "audit", "--model", model, "--data", data, "--out", out, *AUDIT, *more)
    assert code == 0, err
    content: dict[str, Any] = json.loads((out / "audit.json").read_text())
    return content


def finding(content: dict[str, Any], name: str) -> dict[str, Any]:
    return next(row for row in content["findings"] if row["id"] == name)


def said(content: dict[str, Any], fact: str) -> dict[str, str]:
    return next(row for row in content["model"]["said"] if row["fact"] == fact)


def table(model: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((model / "splits.csv").read_text().splitlines()))


def audited(out: Path) -> set[str]:
    return set(Records.read(out / "records.parquet").clean["image_id"].tolist())


def test_classes_in_another_order_change_no_answer(capsys, tmp_path: Path) -> None:
    """N1: the accuracy of the bundled model was .925 and became .075."""
    found = {}
    for key in ("data.classes", "model.classes"):
        for order in ("benign,malignant", "malignant,benign"):
            more = ("data.limit=40", f"{key}=[{order}]", "attacks=[fgsm]")
            out = tmp_path / f"{key}-{order}"
            found[key, order] = audit(capsys, "default", "phantom", out, *more)
    accuracies = {content["clean"]["accuracy"]["value"] for content in found.values()}
    assert len(accuracies) == 1
    assert accuracies.pop() > 0.8
    assert {content["clean"]["auroc"]["value"] > 0.8 for content in found.values()} == {True}
    turned = found["data.classes", "malignant,benign"]
    assert "in the order malignant, benign of the data" in said(turned, "class order")["value"]
    assert finding(turned, "class-order")["severity"] == "pass"


def test_outputs_and_labels_of_another_are_matched_by_name(capsys, tmp_path: Path, checkpoint: Path) -> None:
    images = write(tmp_path / "img", {"benign": 0, "malignant": 100})
    weights = ("--weights", str(checkpoint / "model.safetensors"))
    common = ("zoo:cbr_tiny(width=4)", f"folder:{images}", tmp_path / "x")
    rows = {}
    for number, words in enumerate(
        (["model.classes=[malignant,benign]"], ["model.classes=[malignant,benign]", "data.classes=[benign,malignant]"])
    ):
        out = tmp_path / f"out{number}"
        code, _, err = run(
            capsys, "audit", "--model", common[0], *weights, "--data", common[1], "--out", out, *AUDIT, *words,
            "data.color=grey",
        )  # fmt: skip
        assert code == 0, err
        rows[number] = json.loads((out / "audit.json").read_text())
    assert rows[0]["data"]["classes"] == ["malignant", "benign"]
    assert rows[1]["data"]["classes"] == ["benign", "malignant"]
    assert rows[0]["clean"]["accuracy"]["value"] == rows[1]["clean"]["accuracy"]["value"]
    line = refused(
        capsys, "audit", "--model", common[0], *weights, "--data", common[1], "--out", common[2], *AUDIT,
        "model.classes=[malign,benign]", "data.classes=[benign,malignant]",
    )  # fmt: skip
    assert "the outputs are malign, benign, the classes of the data benign, malignant" in line
    assert not common[2].exists()


def test_signs_in_the_names_of_classes_are_no_rules(capsys, tmp_path: Path) -> None:
    """F16: the audit read the card's `grade=2` as a rule and refused it as an unknown class."""
    images = write(tmp_path / "img", {"grade=1": 0, "grade=2": 60, "rest": 120, "-a+b": 150})
    model = train(capsys, images, tmp_path / "model")
    content = audit(capsys, model, f"folder:{images}", tmp_path / "run")
    assert content["data"]["classes"] == ["-a+b", "grade=1", "grade=2", "rest"]


def test_classes_that_training_joined_are_joined_by_the_audit(capsys, tmp_path: Path) -> None:
    images = write(tmp_path / "img", {"a": 0, "b": 60, "c": 120})
    model = train(capsys, images, tmp_path / "model", ", classes: [c, low=a+b]")
    content = audit(capsys, model, f"folder:{images}", tmp_path / "run")
    assert content["data"]["classes"] == ["c", "low"]
    joined = write(tmp_path / "other", {"low": 0, "c": 120})
    other = audit(capsys, model, f"folder:{joined}", tmp_path / "run2")
    assert other["data"]["classes"] == ["c", "low"]


def test_the_images_of_the_training_are_left_out_and_found(capsys, tmp_path: Path) -> None:
    """N5: all images were audited, silently."""
    images = write(tmp_path / "img", {"a": 0, "b": 100})
    model = train(capsys, images, tmp_path / "model")
    rows = table(model)
    left_out = {row["image_id"] for row in rows if row["split"] == "test"}
    num_train = sum(row["split"] == "train" for row in rows)
    auto = audit(capsys, model / "last", f"folder:{images}", tmp_path / "auto")
    assert audited(tmp_path / "auto") == left_out
    assert finding(auto, "trained-on")["severity"] == "pass"
    everything = audit(capsys, model, f"folder:{images}", tmp_path / "all", "data.split=all")
    failed = finding(everything, "trained-on")
    assert failed["severity"] == "fail"
    assert failed["evidence"].startswith(f"{num_train} of {len(rows)} images were trained on, ")
    code, _, _ = run(capsys, "report", tmp_path / "all")
    assert code == 0
    page = (tmp_path / "all" / "report.html").read_text()
    assert page.index("were trained on") < page.index("<h1>")

    moved = tmp_path / "moved"
    for name in ("a", "b"):
        (moved / name).mkdir(parents=True)
        for number, file in enumerate(sorted((images / name).iterdir(), reverse=True)):
            shutil.copy(file, moved / name / f"renamed-{number}.png")
    audit(capsys, model, f"folder:{moved}", tmp_path / "run-moved")
    assert len(audited(tmp_path / "run-moved")) == len(left_out)

    saved = tmp_path / "saved"  # the same pixels in other bytes
    for name in ("a", "b"):
        (saved / name).mkdir(parents=True)
        for number, file in enumerate(sorted((images / name).iterdir())):
            Image.fromarray(pixels_of(file)).save(saved / name / f"x{number}.bmp")
    again = audit(capsys, model, f"folder:{saved}", tmp_path / "run-saved")
    assert finding(again, "trained-on")["evidence"].startswith(f"{num_train} of {len(rows)} images were trained on")

    new = write(tmp_path / "new", {"a": 3, "b": 97}, 12)
    fresh = audit(capsys, model, f"folder:{new}", tmp_path / "run-new")
    assert fresh["data"]["num_images"] == 24
    assert finding(fresh, "trained-on")["severity"] == "pass"

    (model / "splits.csv").write_text(
        "image_id,group_id,label,split\n"
        + "".join(f"{r['image_id']},{r['group_id']},{r['label']},{r['split']}\n" for r in rows)
    )
    audit(capsys, model, f"folder:{images}", tmp_path / "old")
    assert audited(tmp_path / "old") == left_out
    unknown = audit(capsys, model, f"folder:{moved}", tmp_path / "old-moved")
    assert finding(unknown, "trained-on")["severity"] == "not_run"
    (model / "splits.csv").unlink()
    bare = audit(capsys, model, f"folder:{moved}", tmp_path / "bare")
    assert finding(bare, "trained-on")["severity"] == "not_run"


def test_images_that_were_all_trained_on_are_refused(capsys, tmp_path: Path) -> None:
    images = write(tmp_path / "img", {"a": 0, "b": 100})
    model = train(capsys, images, tmp_path / "model")
    rows = [row for row in table(model) if row["split"] == "train"]
    for row in rows:
        (tmp_path / "part" / row["label"]).mkdir(parents=True, exist_ok=True)
        shutil.copy(images / row["image_id"], tmp_path / "part" / row["image_id"])
    data, out = f"folder:{tmp_path / 'part'}", tmp_path / "run"
    line = refused(capsys, "audit", "--model", model, "--data", data, "--out", out, *AUDIT)
    assert f"all {len(rows)} images" in line
    assert "were used in the training of this model" in line
    assert not out.exists()


@pytest.mark.parametrize("split", ["test", "train"])
def test_pixels_are_stretched_as_in_training(capsys, tmp_path: Path, split: str) -> None:
    """N14: the extremes were those of the part opened, so one image differed between train and test."""
    images = tmp_path / "img"
    for k, name in enumerate("ab"):
        (images / name).mkdir(parents=True)
        for i in range(20):
            pixels = np.random.default_rng(i).integers(40 + i + 40 * k, 80 + i + 40 * k, (32, 32)).astype(np.uint8)
            Image.fromarray(pixels).save(images / name / f"{i:02}.png")
    model = train(capsys, images, tmp_path / "model", ", scale: set")
    rows = table(model)
    seen = [pixels_of(images / row["image_id"]) for row in rows if row["split"] != "test"]
    ends = [min(int(x.min()) for x in seen) / 255, max(int(x.max()) for x in seen) / 255]
    assert json.loads((model / "card.json").read_text())["view"]["extremes"] == pytest.approx(ends, abs=1e-6)
    other = tmp_path / "other"  # one bright image elsewhere: its own extremes are others
    for name in "ab":
        (other / name).mkdir(parents=True)
        Image.fromarray(np.full((32, 32), 100 + ord(name), np.uint8)).save(other / name / "0.png")
        Image.fromarray(np.full((32, 32), 101 + ord(name), np.uint8)).save(other / name / "1.png")
    content = audit(
        capsys, model, f"folder:{other}", tmp_path / "run", f"data.split={split}", "data.splits=group:0.5/0/0.5"
    )
    assert said(content, "black and white")["source"] == "the model's training"
    assert said(content, "black and white")["value"] == f"{ends[0]:.4g} {ends[1]:.4g}"
