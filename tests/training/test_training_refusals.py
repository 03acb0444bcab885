"""Bad recipes on the command line: one line that names the place and the fix, exit code 2, nothing written."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from cli.conftest import write_images
from cli.run import refused, run

TABLE = "image,label,group,split\n"


def write(tmp_path: Path, rows: str, **changes: object) -> Path:
    """A recipe on a table of images; rows: a word per image, LABEL/GROUP/SPLIT."""
    write_images(tmp_path / "images", per_class=20)
    lines, seen = [], Counter[str]()
    for word in rows.split():
        label, group, split = word.split("/")
        lines.append(f"images/{label}/{seen[label]}.png,{label},{group},{split}\n")
        seen[label] += 1
    (tmp_path / "table.csv").write_text(TABLE + "".join(lines))
    content = {
        "model": "zoo:cbr_tiny(width=4)",
        "data": {"name": f"csv:{tmp_path / 'table.csv'}", **changes.pop("data", {})},
        "batch_size": 4,
        "epochs": 1,
        "device": "cpu",
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**content, **changes}))
    return tmp_path / "recipe.yaml"


def rows(train: int = 8, val: int = 3) -> str:
    words = [f"{label}/{label[0]}{i}/train" for label in ("benign", "malignant") for i in range(train)]
    return " ".join(words + [f"{label}/{label[0]}v{i}/val" for label in ("benign", "malignant") for i in range(val)])


CASES = {
    "unknown objective": (rows(), {"objective": "mrist"}, "objective.name: unknown objective 'mrist'. Did you mean"),
    "unknown objective of a phase": (rows(), {"phases": [{"objective": "trads"}]}, "phases.0.objective.name: unknown"),
    "unknown key of a phase": (rows(), {"phases": [{"epoch": 3}]}, "Did you mean 'epochs'"),
    "batch larger than the set": (rows(), {"batch_size": 17}, "batch_size: 17 is more than the 16 training images"),
    "joint batch larger than the set": (rows(), {"batch_size": 9, "devices": 2}, "9 on each of 2 devices is more than"),
    "group in two splits": (rows(val=2) + " benign/b0/val", {}, "'b0'"),
    "class missing from validation": (rows(val=0) + " benign/x/val", {}, "no image of class 'malignant' is in val"),
    "epsilon over the domain": (rows(), {"threat": {"epsilon": 8}}, "threat.epsilon: 8 is larger than the domain"),
    "epsilon of a phase over the domain": (
        rows(),
        {"phases": [{"threat": {"epsilon": 8}}]},
        "phases.0.threat.epsilon: 8 is larger",
    ),
    "warm-up that nobody honors": (
        rows(),
        {"objective": "clean", "threat": {"epsilon_warm_up": 2}},
        "threat.epsilon_warm_up: clean has no budget",
    ),
    "epochs without end": (rows(), {"epochs": 10**30}, "epochs: 1e+30 will never end. At most 1000000"),
    "unknown action": (rows(), {"on_collapse": "panic"}, "on_collapse: 'panic': must be 'continue', 'stop' or"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_recipes_are_one_line_and_write_nothing(
    case: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    table, changes, says = CASES[case]
    recipe = write(tmp_path, table, **changes)
    assert says in refused(capsys, "train", recipe, "--out", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_class_missing_from_a_fold(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    table = " ".join(f"benign/b{i}/" for i in range(20)) + " malignant/m0/ malignant/m1/"
    recipe = write(tmp_path, table, data={"splits": "fold:1/5"})
    assert "malignant" in refused(capsys, "train", recipe, "--out", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_loss_that_is_not_finite(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    recipe = write(tmp_path, rows(), model="training_nets:exploding", data={"image_size": 8})
    line = refused(capsys, "train", recipe, "--out", tmp_path / "model")
    assert "the loss is not finite in epoch 1 at step 1. Start again with a lower optimizer.lr" in line
    assert not (tmp_path / "model" / "model.safetensors").exists()


def test_what_to_do_on_collapse_is_an_option(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    recipe = write(tmp_path, rows(), epochs=6, objective="clean", optimizer={"lr": 100.0})
    code, _, err = run(capsys, "train", recipe, "--out", tmp_path / "model", "--on-collapse", "stop")
    assert code == 0, err
    assert "collapsed" in err
    assert "training stops" in err
    assert "epoch 6/6" not in err


NORMALIZED = """
from torch import nn

def pooled():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))

def wide():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))

class Judged(nn.Sequential):
    def forward(self, x):
        return {}["weights"] if not self.training and x.requires_grad else super().forward(x)

def fails_in_validation():
    return Judged(nn.Flatten(), nn.Linear(1024, 2))
"""


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nets_of_refusals.py").write_text(NORMALIZED)
    monkeypatch.syspath_prepend(tmp_path)


def test_batches_of_one_and_a_variance_of_one_value(capsys, nets, tmp_path: Path) -> None:
    """ResNet-18 at 32 pixels ends in 1 x 1: what batch normalization computes there needs two images."""
    recipe = write(tmp_path, rows(), model="nets_of_refusals:pooled", batch_size=1)
    line = refused(capsys, "train", recipe, "--out", tmp_path / "model")
    assert "batch_size: 1 on each device is too few: the network has batch normalization. Use 2 or more" in line
    assert not (tmp_path / "model").exists()
    code, _, err = run(capsys, "train", recipe, "--out", tmp_path / "model", "model.name=nets_of_refusals:wide")
    assert code == 0, err


def test_what_fails_in_the_first_validation_leaves_nothing(capsys, nets, tmp_path: Path) -> None:
    robust = {"objective": "adversarial", "threat": {"epsilon": "2/255"}, "attack": {"name": "pgd", "num_steps": 1}}
    recipe = write(tmp_path, rows(), model="nets_of_refusals:fails_in_validation", **robust)
    line = refused(capsys, "train", recipe, "--out", tmp_path / "model")
    assert "nets_of_refusals.py line" in line
    assert "KeyError: 'weights'" in line
    assert not (tmp_path / "model").exists()
    code, _, err = run(capsys, "train", recipe, "--out", tmp_path / "model", "model.name=nets_of_refusals:wide")
    assert code == 0, err
