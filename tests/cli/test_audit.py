"""medrobust audit as a user runs it: what it writes, what it refuses, how it goes on."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from cli.run import QUICK, refused, run
from medrobust.records.records import Records
from medrobust.records.rows import COLUMNS


def audit(capsys, model: Path, data: Path | str, out: Path, *more: str) -> tuple[int, str, str]:
    spec = data if isinstance(data, str) else f"folder:{data}"
    return run(capsys, "audit", "--model", model, "--data", spec, "--out", out, *QUICK, *more)


def test_writes_a_whole_run(capsys, images: Path, checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code, said, _ = audit(capsys, checkpoint, images, out)
    assert code == 0
    assert "robust accuracy" in said
    for name in ("recipe.yaml", "run.json", "records.parquet", "audit.json", "report.html", "images/gallery.json"):
        assert (out / name).is_file(), name
    content = json.loads((out / "audit.json").read_text())
    for key in ("schema", "model", "data", "protocol", "cost", "clean", "curve", "worst_case", "sensitivity",
                "referral", "groups", "findings", "provenance"):  # fmt: skip
        assert key in content, key
    assert content["schema"] == "medrobust.audit/1"
    assert content["data"]["num_images"] == 12
    records = Records.read(out / "records.parquet")
    assert set(COLUMNS) <= set(records.columns)
    assert len(records) == 12 * (1 + 2 * 2)
    assert not list(out.rglob("*.tmp"))
    assert not (out / "parts").exists()
    assert str(tmp_path) not in (out / "records.parquet").read_bytes().decode("latin1")


def test_a_finished_run_is_read_not_measured_again(capsys, images, checkpoint, tmp_path) -> None:
    out = tmp_path / "run"
    audit(capsys, checkpoint, images, out)
    before = (out / "records.parquet").stat().st_mtime_ns
    code, _, err = audit(capsys, checkpoint, images, out, "batch_size=5")
    assert code == 0
    assert "attacks" not in err
    assert (out / "records.parquet").stat().st_mtime_ns == before


def test_another_run_in_the_folder_is_refused(capsys, images, checkpoint, tmp_path) -> None:
    out = tmp_path / "run"
    audit(capsys, checkpoint, images, out)
    before = (out / "audit.json").read_bytes()
    line = refused(capsys, "audit", "--model", checkpoint, "--data", f"folder:{images}", "--out", out, *QUICK, "seed=1")
    assert "another recipe" in line
    assert (out / "audit.json").read_bytes() == before


def test_a_folder_with_other_things_is_refused(capsys, images, checkpoint, tmp_path) -> None:
    line = refused(capsys, "audit", "--model", checkpoint, "--data", f"folder:{images}", "--out", images, *QUICK)
    assert "not a run of medrobust" in line


def test_fail_on_gives_exit_code_1(capsys, images, checkpoint, tmp_path) -> None:
    code, _, err = audit(capsys, checkpoint, images, tmp_path / "run", "--fail-on", "warn")
    assert code == 1
    assert "warn" in err or "fail" in err


def test_skip_broken_goes_on_and_lists(capsys, images, checkpoint, tmp_path) -> None:
    broken = images / "benign" / "0.png"
    broken.write_bytes(broken.read_bytes()[:40])
    code, _, _ = audit(capsys, checkpoint, images, tmp_path / "run", "--skip-broken")
    assert code == 0
    listed = json.loads((tmp_path / "run" / "audit.json").read_text())["data"]["broken"]
    assert [name for name, _ in listed] == ["benign/0.png"]
    assert "benign/0.png" in (tmp_path / "run" / "report.html").read_text()


def write_bad(kind: str, images: Path, tmp: Path) -> tuple[str, ...]:
    """Spoil something; the arguments of the audit that must refuse it."""
    data, weights = f"folder:{images}", tmp / "weights.pt"
    zoo = ("--model", "zoo:cbr_tiny(width=4)", "--weights", str(weights), "--data", data)
    if kind == "no folder":
        return ("--data", f"folder:{tmp / 'nowhere'}")
    if kind == "no classes":
        for name in ("benign", "malignant"):
            shutil.rmtree(images / name)
    if kind == "one class":
        shutil.rmtree(images / "benign")
    if kind == "truncated":
        path = images / "benign" / "1.png"
        path.write_bytes(path.read_bytes()[:50])
    if kind == "not an image":
        (images / "benign" / "9.png").write_text("hello")
    if kind == "unknown label":
        table = tmp / "table.csv"
        table.write_text(
            "image,label\n" + "\n".join(f"images/{n}/{i}.png,{n}" for n in ("benign", "malignant") for i in range(3))
        )
        return ("--data", f"csv:{table}", "data.classes=[benign,cancer]")
    if kind == "pickle":
        weights.write_bytes(pickle.dumps({"run": print}))
        return zoo
    if kind == "not a state dict":
        torch.save([1, 2, 3], weights)
        return zoo
    if kind == "other keys":
        save_file({"fc.weight": torch.zeros(2, 3)}, tmp / "weights.safetensors")
        return (*zoo[:3], str(tmp / "weights.safetensors"), *zoo[4:])
    if kind == "normalized":
        for path in images.rglob("*.png"):
            Image.fromarray(np.full((32, 32), -1.5, dtype=np.float32)).save(path.with_suffix(".tiff"))
            path.unlink()
    return ("--data", data)


REFUSALS = {
    "no folder": "nowhere",
    "no classes": "images",
    "one class": "class",
    "truncated": "1.png",
    "not an image": "9.png",
    "unknown label": "cancer",
    "pickle": "weights.pt",
    "not a state dict": "weights.pt",
    "other keys": "fc.weight",
    "normalized": "normalized",
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_bad_files_are_refused_before_anything_is_written(kind, capsys, images, checkpoint, tmp_path) -> None:
    words = write_bad(kind, images, tmp_path)
    model = () if "--model" in words else ("--model", checkpoint)
    line = refused(capsys, "audit", *model, *words, "--out", tmp_path / "run", *QUICK)
    assert REFUSALS[kind] in line
    assert not (tmp_path / "run").exists()


WRONG_KEYS = {
    "threat.epsilons=[-1/255]": "not a budget",
    "threat.epsilons=[8]": "8/255",
    "threat.epsilons=[abc]": "not a number",
    "threat.epsilons=nan": "not a budget",
    "threat.epsilon=[1/255]": "did you mean 'epsilons'?",
    "attacks.pgd.num_step=2": "num_steps",
    "attacks=[pdg]": "pgd",
    "atacks=[pgd]": "attacks",
    "data.image_sise=3": "image_size",
    "batch_size=0": "not a positive",
    "protocol=fast": "honest",
    "seed": "key=value",
    "device=cuda:99": "not available",
}


@pytest.mark.parametrize("word", WRONG_KEYS)
def test_bad_keys_are_refused(word: str, capsys, images, checkpoint, tmp_path) -> None:
    line = refused(
        capsys, "audit", "--model", checkpoint, "--data", f"folder:{images}", "--out", tmp_path / "run", word
    )
    assert WRONG_KEYS[word].lower() in line.lower()
    assert not (tmp_path / "run").exists()


def test_broken_recipe_names_the_line(capsys, tmp_path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("seed: 1\nattacks: [pgd\n")
    assert "line" in refused(capsys, "audit", "--recipe", recipe, "--out", tmp_path / "run")


def test_full_disk_is_one_line(capsys, images, checkpoint, tmp_path, monkeypatch) -> None:
    import errno

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    import pyarrow.parquet

    monkeypatch.setattr(pyarrow.parquet, "write_table", full)
    line = refused(
        capsys, "audit", "--model", checkpoint, "--data", f"folder:{images}", "--out", tmp_path / "r", *QUICK
    )
    assert "No space left" in line
    assert not list((tmp_path / "r").rglob("*.tmp"))
    assert not list((tmp_path / "r").rglob("*.parquet"))


def test_report_can_be_written_again(capsys, images, checkpoint, tmp_path) -> None:
    out = tmp_path / "run"
    audit(capsys, checkpoint, images, out)
    page = (out / "report.html").read_text()
    (out / "report.html").unlink()
    code, _, _ = run(capsys, "report", out)
    assert code == 0
    assert (out / "report.html").read_text() == page


def test_the_budget_of_every_row_holds(capsys, images, checkpoint, tmp_path) -> None:
    audit(
        capsys,
        checkpoint,
        images,
        tmp_path / "run",
        "threat.norm=[linf,l2]",
        "threat.epsilons={linf: [1/255], l2: [0.5]}",
    )
    records = Records.read(tmp_path / "run" / "records.parquet")
    assert set(records["norm"]) == {"", "linf", "l2"}
    assert (records["distance"] <= records["epsilon"] * (1 + 1e-9)).all()
