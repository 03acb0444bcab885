"""medrobust data, in process."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

import medrobust
from medrobust.cli.data import data_app
from medrobust.data import DATASETS, open_images
from medrobust.data.commands import cards
from medrobust.errors import UserError


def run(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(data_app(), [str(word) for word in words])
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


def test_ls_names_every_set_with_its_card():
    listed = run("ls")
    assert [line.split()[0] for line in listed.splitlines()] == sorted(DATASETS)
    assert "doi:10.1038/sdata.2018.161" in run("ls", "ham10000")
    with pytest.raises(UserError, match="Did you mean 'busi'"):
        run("ls", "bussi")


def test_every_card_is_complete():
    assert [card.name for card in cards()] == sorted(DATASETS)
    for card in cards():
        assert card.title, card.name
        assert card.layout, card.name
        if card.name not in ("folder", "csv", "phantom"):
            assert card.paper, card.name
            assert card.license, card.name
        if card.positive_class and card.classes:
            assert card.positive_class in card.classes, card.name


def test_check_writes_json_and_decides_the_exit_code(two_classes, tmp_path):
    shutil.copy(two_classes / "a" / "0.png", two_classes / "b" / "9.png")
    text = run("check", f"folder:{two_classes}", "--json", tmp_path / "check.json", "--fail-on", "fail", code=1)
    report = json.loads((tmp_path / "check.json").read_text())
    assert report["schema"] == "medrobust.data-check/1"
    assert report["data"]["num_images"] == 9
    assert text.startswith(f"set: {report['verdict']}")
    assert {finding["severity"] for finding in report["findings"]} <= {"pass", "warn", "fail", "not_run"}
    assert str(tmp_path) not in json.dumps(report)
    run("check", f"folder:{two_classes}")
    with pytest.raises(UserError, match="--fail-on"):
        run("check", f"folder:{two_classes}", "--fail-on", "never")
    with pytest.raises(UserError, match="no such folder"):
        run("check", "folder:nowhere")


def test_split_can_be_used_again(two_classes, tmp_path):
    shutil.copy(two_classes / "a" / "0.png", two_classes / "a" / "9.png")
    out = tmp_path / "split.csv"
    said = run("split", f"folder:{two_classes}", out, "--rule", "fold:1/3", "--link-duplicates", "--seed", 3)
    assert "0 of" in said
    with open(out, newline="") as file:
        rows = {row["image_id"]: row for row in csv.DictReader(file)}
    assert rows["a/0.png"]["split"] == rows["a/9.png"]["split"]
    assert rows["a/0.png"]["group_id"] == rows["a/9.png"]["group_id"]
    images = open_images(f"folder:{two_classes}", splits=str(out), split="all")
    assert Counter(s.split for s in images.samples) == Counter(row["split"] for row in rows.values())


def test_folds_and_repeats_are_files_that_fit_together(two_classes, tmp_path):
    said = run("split", f"folder:{two_classes}", tmp_path / "folds", "--folds", 4, "--repeats", 2, "--seed", 5)
    files = sorted((tmp_path / "folds").iterdir())
    assert [file.name for file in files] == [f"fold-{k}-of-4-seed-{s}.csv" for k in (1, 2, 3, 4) for s in (5, 6)]
    assert len(said.splitlines()) == 8
    tested = Counter(
        s.image_id
        for file in files
        for s in open_images(f"folder:{two_classes}", splits=str(file), split="test").samples
    )
    assert set(tested.values()) == {2}  # once per seed
    assert len(tested) == 8
    assert "groups on both sides" in run("check", f"folder:{two_classes}", "--splits", files[0]).lower()
    run("split", f"folder:{two_classes}", tmp_path / "repeats", "--repeats", 3)
    assert sorted(file.name for file in (tmp_path / "repeats").iterdir()) == [f"group-seed-{k}.csv" for k in range(3)]
    for words, text in (
        (["x.csv", "--folds", 4], "is not a folder"),
        (["x"], "does not end in .csv"),
        (["y", "--folds", 1], "is not a number of folds"),
    ):
        with pytest.raises(UserError, match=text):
            run("split", f"folder:{two_classes}", tmp_path / words[0], *words[1:])
    assert not (tmp_path / "x").exists()
    assert not (tmp_path / "y").exists()


def test_options_of_a_set(put, tmp_path):
    for k in range(8):
        put(f"set/{'ab'[k % 2]}/p{k // 4}_{k}.png", value=k)
    spec = f"folder:{tmp_path / 'set'}"
    run("check", spec, "group=(p\\d)_", "--json", tmp_path / "check.json")
    report = json.loads((tmp_path / "check.json").read_text())
    assert report["data"]["options"] == {"group": "(p\\d)_"}
    counts = next(f for f in report["findings"] if f["id"] == "data-counts")
    assert counts["numbers"]["num_groups"] == 2
    run("split", spec, tmp_path / "s.csv", "group=(p\\d)_")
    rows = csv.DictReader((tmp_path / "s.csv").read_text().splitlines())
    assert {row["group_id"] for row in rows} == {"p0", "p1"}
    with pytest.raises(UserError, match=r"data\.options\.gruop: folder has no such option\. Did you mean 'group'"):
        run("check", spec, "gruop=(p)")
    with pytest.raises(UserError, match="is not key=value"):
        run("check", spec, "group")


def test_prepare_refuses_in_one_line(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        run("prepare", "lidc", tmp_path / "nowhere", tmp_path / "out", "--window", -600, 1500)
    with pytest.raises(UserError, match="no such folder"):
        run("prepare", "cbis_ddsm", tmp_path / "nowhere", tmp_path / "out")


def test_cache(put, tmp_path):
    for k in range(70):
        put(f"set/{'ab'[k % 2]}/{k}.png", value=k)
    open_images(f"folder:{tmp_path / 'set'}")
    assert run("cache").startswith("1 sets, 0.0 MB")
    assert run("cache", "--clear").startswith("removed 1 sets")
    assert run("cache").startswith("0 sets")


def test_help_imports_no_torch():
    code = (
        "import sys; from typer.testing import CliRunner; from medrobust.cli.data import data_app; "
        "result = CliRunner().invoke(data_app(), ['--help']); assert result.exit_code == 0; "
        "sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    )
    source = str(Path(medrobust.__file__).parents[1])
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": source}, check=False).returncode == 0
