"""`medrobust explain` on images that come without labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from medrobust.cli.main import app
from medrobust.data import open_images
from medrobust.data.unlabeled import comes_without_labels
from medrobust.errors import UserError

FAST = ("--maps", "saliency,grad_cam")


def run(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


@pytest.fixture
def flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], list[int]]:
    """flat(masks) writes six phantom images into flat/, with masks beside them or without, and returns their labels."""
    monkeypatch.chdir(tmp_path)
    images = open_images("phantom:ultrasound@64,count=40", limit=6)

    def make(masks: bool) -> list[int]:
        for i, (x, *_) in enumerate(images):
            write(Path(f"flat/{i}.png"), (x[0] * 255).round().numpy())
            if masks:
                write(Path(f"flat/{i}_mask.png"), images.mask(i)[0].numpy() * 255)
        return images.labels.tolist()

    return make


def content(folder: str) -> Any:
    return json.loads(Path(folder, "explain.json").read_text())


def test_a_folder_without_masks_has_maps_of_the_answers_alone(flat: Callable[[bool], list[int]]) -> None:
    flat(False)
    Path("flat/notes.txt").write_text("not an image")
    result = run("explain", "default", "flat", *FAST, "--out", "found")
    assert result.exit_code == 0, result.output
    line = "no labels: the answers are explained; attacks, and whether an answer is right, are left out; no masks: "
    assert line + "whether maps meet the lesion is left out" in result.output.splitlines()
    assert "1 files could not be read" in result.output
    found = content("found")
    assert found["looks"] is None
    assert found["num_images"] == 6
    for row in found["maps"]:
        assert row["lesion"] is None
        assert row["agreement"] == {}
    shown = found["maps"][0]["pictures"]
    assert {picture["image_id"] for picture in shown} == {f"{i}.png" for i in range(6)}
    assert {path.name for path in Path("found/explain").iterdir()} >= {picture["clean_png"] for picture in shown}
    assert not any("attacked_png" in picture or "answer_attacked" in picture for picture in shown)
    run("predict", "default", "flat", "--out", "answers.json")
    predicted = {row["image"]: row.get("answer") for row in json.loads(Path("answers.json").read_text())["images"]}
    assert predicted.pop("notes.txt") is None
    assert {name: found["classes"][k] for name, k in found["answered"].items()} == predicted
    assert {picture["image_id"]: found["classes"][picture["answer"]] for picture in shown} == predicted


def test_maps_are_those_of_the_same_images_with_labels_not_asked_for(flat: Callable[[bool], list[int]]) -> None:
    labels = flat(True)
    for i, label in enumerate(labels):
        write(Path(f"sorted/{label}/{i}.png"), np.asarray(Image.open(f"flat/{i}.png")))
    for out, images, more in (("one", "flat", ()), ("other", "sorted", ("--no-labels",))):
        result = run("explain", "default", images, *FAST, "--out", out, *more)
        assert result.exit_code == 0, result.output
    one, other = content("one"), content("other")
    assert one["num_masks"] == 6
    assert one["num_images"] == other["num_images"] == 6
    assert other["num_masks"] == 0
    assert one["answered"] == {Path(name).name: answer for name, answer in other["answered"].items()}
    inside = one["maps"][0]["lesion"]["mass"]
    assert set(inside) >= {"clean", "chance", "clean_over_chance"}
    assert "attacked" not in inside


def test_what_comes_without_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    grey = np.full((8, 8), 90)
    for name in ("flat/a.png", "two/x/a.png", "two/y/b.png", "one/x/a.png", "masked/a.png", "masked/masks/a.png"):
        write(Path(name), grey)
    Path("two/empty").mkdir()
    Path("plain.csv").write_text("image\nflat/a.png\n")
    Path("labeled.csv").write_text("image,label\nflat/a.png,benign\n")
    without = ["flat", "flat/a.png", "one", "masked", "csv:plain.csv", "nowhere/a", "missing.png"]
    assert [spec for spec in without if not comes_without_labels(spec)] == []
    labeled = ["two", "folder:flat", "csv:labeled.csv", "phantom", "busi:flat", "csv:nowhere.csv", "nothing"]
    assert [spec for spec in labeled if comes_without_labels(spec)] == []
    Path("odd.csv").write_text("picture\nflat/a.png\n")
    with pytest.raises(UserError, match="image"):
        comes_without_labels("csv:odd.csv")


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (("default", "flat", "attacks=fgsm"), "attacks"),
        (("default", "nowhere/here"), "nowhere/here"),
        (("default", "empty"), "empty"),
        (("default", "flat/text.txt"), "broken"),
        (("default", "flat", "--out", "flat/text.txt"), "is a file"),
        (("torchvision:resnet18", "flat"), "model.classes"),
        (("default", "flat", "--maps", "saliencie"), "saliency"),
    ],
)
def test_wrong_inputs_are_one_line(
    words: tuple[str, ...], place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from medrobust.cli.main import main

    monkeypatch.chdir(tmp_path)
    write(Path("flat/a.png"), np.full((64, 64), 90))
    Path("flat/text.txt").write_text("text")
    Path("empty").mkdir()
    monkeypatch.setattr("sys.argv", ["medrobust", "explain", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("medrobust:")]
    assert len(said) == 1
    assert place in said[0]
    assert not Path("explain").exists()
