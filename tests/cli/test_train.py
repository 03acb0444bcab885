"""medrobust train, then audit of what it left: one line per bad recipe, and the same test split in both."""

import json
from pathlib import Path

import pytest

from cli.conftest import write_images
from cli.run import QUICK, refused, run

RECIPE = """
model: zoo:cbr_tiny(width=4)
data: {{name: "folder:{images}", seed: 3}}
epochs: 1
batch_size: 8
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    images = write_images(tmp_path / "many", per_class=20)
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(images=images))
    return path


def test_the_test_split_of_an_audit_is_what_training_left_out(capsys, recipe: Path, tmp_path: Path) -> None:
    assert run(capsys, "train", recipe, "--out", tmp_path / "model")[0] == 0
    rows = (tmp_path / "model" / "splits.csv").read_text()
    data = f"folder:{tmp_path / 'many'}"
    words = [word for word in QUICK if not word.startswith("data.split")]
    code, _, _ = run(
        capsys,
        "audit",
        "--model",
        tmp_path / "model",
        "--data",
        data,
        "data.split=test",
        "--out",
        tmp_path / "run",
        *words,
    )
    assert code == 0
    from medrobust.records.records import Records

    audited = set(Records.read(tmp_path / "run" / "records.parquet").clean["image_id"].tolist())
    left_out = {line.split(",")[0] for line in rows.splitlines()[1:] if ",test" in line}
    assert audited == left_out
    assert len(audited) == json.loads((tmp_path / "run" / "audit.json").read_text())["data"]["num_images"] > 0


WRONG = {
    "epoch=2": "epochs",
    "objective.name=advers": "adversarial",
    "threat.epsilon=2": "2/255",
    "batch_size=4000": "batch",
    "optimizer.name=adamm": "adam",
    "data.name=foldr:x": "folder",
    "objective.awp.gama=1": "gamma",
    "data.hide_labels=0.5": "semi_rst",
    "logger=tensorbord": "tensorboard",
}


@pytest.mark.parametrize("word", WRONG)
def test_bad_recipes_are_one_line(word: str, capsys, recipe: Path, tmp_path: Path) -> None:
    line = refused(capsys, "train", recipe, "--out", tmp_path / "model", word)
    assert WRONG[word] in line
    assert not (tmp_path / "model").exists()


def test_folds_print_their_table(capsys, recipe: Path, tmp_path: Path) -> None:
    code, out, _ = run(capsys, "train", recipe, "--folds", "2", "--out", tmp_path / "folds")
    assert code == 0
    assert [line.split("|")[1].strip() for line in out.splitlines()[-4:]] == ["fold-1", "fold-2", "mean", "sd"]
    assert (tmp_path / "folds" / "fold-2" / "card.json").exists()
    line = refused(capsys, "train", recipe, "--folds", "30", "--out", tmp_path / "many-folds")
    assert "fold" in line
    assert not (tmp_path / "many-folds").exists()
