"""medrobust refer and predict: the answers of an audit, without labels, and who should look."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import medrobust as mr
from cli.run import QUICK, refused, run
from medrobust.models.checkpoint import load_checkpoint, save_checkpoint
from medrobust.records import Records


@pytest.fixture
def flat(images: Path, tmp_path: Path) -> Path:
    """The same files without class folders, and one that is no image."""
    folder = tmp_path / "flat"
    folder.mkdir()
    for path in sorted(images.rglob("*.png")):
        (folder / f"{path.parent.name}-{path.name}").write_bytes(path.read_bytes())
    (folder / "notes.png").write_bytes(b"no image")
    return folder


def test_probabilities_are_those_of_the_audit_and_broken_files_are_rows(
    capsys: pytest.CaptureFixture[str], checkpoint: Path, images: Path, flat: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    code, _, err = run(capsys, "audit", "--model", checkpoint, "--data", f"folder:{images}", "--out", out, *QUICK)
    assert code == 0, err
    code, shown, err = run(capsys, "predict", checkpoint, flat, "--out", tmp_path / "found.json", "device=cpu")
    assert code == 0, err
    assert "1 of 13 files could not be read" in err
    assert "no rule saved" in " ".join(shown.split())
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    clean = Records.read(out / "records.parquet").clean
    audited = dict(zip(clean["image_id"].tolist(), clean["scores"], strict=True))
    rows = {row["image"]: row for row in found["images"]}
    for name, scores in audited.items():
        row = rows[name.replace("/", "-")]
        assert np.array_equal(np.float32(list(row["probabilities"].values())), scores)
        assert row["answer"] == found["classes"][int(scores.argmax())]
        assert row["refer"] is None
    assert "not an image" in rows["notes.png"]["error"]
    face = mr.predict(checkpoint, flat, device="cpu")
    assert [dict(row) for row in face.rows] == found["images"]


def test_a_rule_chosen_on_validation_decides_who_should_look(
    capsys: pytest.CaptureFixture[str], checkpoint: Path, images: Path, flat: Path, tmp_path: Path
) -> None:
    line = refused(capsys, "refer", checkpoint, "--data", f"folder:{images}")
    assert "--rate" in line
    words = ("--rate", "50%", "--operate", "youden", "--data", f"folder:{images}", "device=cpu")
    code, _, err = run(capsys, "refer", checkpoint, *words)
    assert code == 0, err
    rule = json.loads((checkpoint / "referral.json").read_text(encoding="utf-8"))
    assert rule["chosen_on"]["split"] == "val"
    assert rule["chosen_on"]["num_images"] < 12
    code, _, err = run(capsys, "predict", checkpoint, flat, "--out", tmp_path / "found.csv", "device=cpu")
    assert code == 0, err
    rows = list(csv.DictReader((tmp_path / "found.csv").read_text(encoding="utf-8").splitlines()))
    point = rule["operating_point"]
    for row in rows:
        if row["error"]:
            continue
        confidence = max(float(row["p(benign)"]), float(row["p(malignant)"]))
        assert row["refer"] == ("yes" if confidence < rule["threshold"] else "no")
        above = float(row[f"p({point['positive_class']})"]) >= point["threshold"] - 1e-6
        assert (row["by_operating_point"] == point["positive_class"]) == above
    # A rule of other weights is no rule of this model.
    rule["model_sha256"] = "0" * 64
    (checkpoint / "referral.json").write_text(json.dumps(rule), encoding="utf-8")
    assert "other weights" in refused(capsys, "predict", checkpoint, flat, "device=cpu")


def test_the_smallest_change_is_looked_for_as_the_rule_says(
    capsys: pytest.CaptureFixture[str], checkpoint: Path, images: Path, flat: Path
) -> None:
    # So that half of the answers are near to turning.
    model = load_checkpoint(checkpoint)
    rows = [row["probabilities"] for row in mr.predict(checkpoint, flat, device="cpu").rows if "error" not in row]
    with torch.no_grad():
        model.network[-1].bias[0] -= float(np.median([np.log(p["benign"] / p["malignant"]) for p in rows]))
    save_checkpoint(checkpoint, model)
    words = ("--rate", "0.5", "--by", "smallest_change", "--data", f"folder:{images}", "device=cpu")
    code, _, err = run(capsys, "refer", checkpoint, *words)
    assert code == 0, err
    rule = json.loads((checkpoint / "referral.json").read_text(encoding="utf-8"))
    assert rule["attack"]["attack"] == "fmn"
    found = [row for row in mr.predict(checkpoint, flat, device="cpu").rows if "error" not in row]
    for row in found:
        assert row["refer"] == (row["score"] is not None and row["score"] < rule["threshold"])
    assert any(row["score"] is not None for row in found)


def test_a_table_of_files_is_answered_row_by_row(
    capsys: pytest.CaptureFixture[str], checkpoint: Path, flat: Path
) -> None:
    names = sorted(path.name for path in flat.iterdir() if path.name != "notes.png")[:3]
    table = flat / "list.csv"
    table.write_text("image\n" + "\n".join([*names, "missing.png"]) + "\n", encoding="utf-8")
    found = mr.predict(checkpoint, f"csv:{table}", device="cpu")
    assert [row["image"] for row in found.rows] == [*names, "missing.png"]
    assert found.rows[-1]["error"] == "no such file"
    alone = mr.predict(checkpoint, flat / names[0], device="cpu")
    assert dict(alone.rows[0]) == dict(found.rows[0])


def test_refusals(capsys: pytest.CaptureFixture[str], checkpoint: Path, flat: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no image" in refused(capsys, "predict", checkpoint, empty)
    (empty / "a.png").write_bytes(b"")
    assert "broken" in refused(capsys, "predict", checkpoint, empty)
    assert "no such file or folder" in refused(capsys, "predict", checkpoint, tmp_path / "nowhere")
    out = tmp_path / "found.txt"
    assert ".csv" in refused(capsys, "predict", checkpoint, flat, "--out", out)
    assert "model.classes" in refused(capsys, "predict", "torchvision:resnet18", flat)
    assert "checkpoint folder" in refused(capsys, "refer", "torchvision:resnet18", "--rate", "0.1")
    assert not out.exists()
