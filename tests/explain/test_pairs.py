"""explain.json: of pairs of images in memory, of the command, and of an audit; and its section."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner

from medrobust.cli.main import app
from medrobust.explain import pairs as module
from medrobust.explain.pairs import Pairs, explain_pairs
from medrobust.explain.pictures import EDGE, overlay
from medrobust.explain.registry import MAPS, TITLES
from medrobust.models.classifier import Classifier
from medrobust.report.html import write_report
from report.reader import read

from .explained_nets import made, small_2d

BUDGET = ("threat.epsilons=[8/255]",)
NAMES = ("saliency", "smoothed_saliency", "smooth_grad", "grad_cam")


def some(num_images: int = 8, change: float = 0.2) -> Pairs:
    source = torch.Generator().manual_seed(0)
    x = torch.rand(num_images, 3, 16, 16, generator=source)
    masks = torch.zeros(num_images, 16, 16, dtype=torch.bool)
    masks[: num_images // 2, 2:8, 3:9] = True
    ids = tuple(f"image {i}" for i in range(num_images))
    return Pairs(x, (x + change * torch.randn(x.shape, generator=source)).clamp(0, 1), ids, ids, masks)


@pytest.fixture
def model() -> Classifier:
    return Classifier(made(small_2d()), classes=("a", "b", "c"))


def edges(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    return x.diff(dim=2, prepend=x[:, :, :1]).abs().amax(1)


def test_a_map_that_fails_has_numbers_and_no_pictures(
    model: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MAPS, "edges", edges)
    monkeypatch.setitem(TITLES, "edges", "Edges")
    rows = {row["name"]: row for row in explain_pairs(model, some(), ("edges", "grad_cam"), folder=tmp_path)["maps"]}
    assert rows["edges"]["sanity"]["verdict"] == "failed"
    assert rows["edges"]["pictures"] == []
    assert rows["edges"]["agreement"]["ssim"]["value"] < 1
    assert rows["grad_cam"]["sanity"]["verdict"] == "passed"
    names = {picture[key] for picture in rows["grad_cam"]["pictures"] for key in ("clean_png", "attacked_png")}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert len(names) == 6


def test_images_that_did_not_change_agree(model: Classifier) -> None:
    found = explain_pairs(model, some(change=0.0), NAMES)
    for row in found["maps"]:
        assert row["agreement"]["ssim"]["value"] == pytest.approx(1.0)
        assert row["agreement"]["shift"]["value"] == pytest.approx(0.0, abs=1e-6)
        assert row["lesion"]["num_images"] == 4
        assert row["lesion"]["mass"]["attacked_less_clean"]["value"] == pytest.approx(0.0, abs=1e-9)
        assert row["lesion"]["mass"]["chance"]["value"] == pytest.approx(36 / 256)


def flat(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for one in value.values() for number in flat(one)]
    if isinstance(value, list):
        return [number for one in value for number in flat(one)]
    return [float(value)] if isinstance(value, (int, float)) else []


def test_batches_change_nothing(model: Classifier) -> None:
    one, other = (explain_pairs(model, some(), NAMES, batch_size=size) for size in (3, 32))
    assert flat(one) == pytest.approx(flat(other), abs=1e-4)
    assert len(flat(one)) > 50


def test_smoothed_saliency_is_that_of_its_own_function(model: Classifier) -> None:
    alone = explain_pairs(model, some(), ("smoothed_saliency",))["maps"][0]
    after = explain_pairs(model, some(), ("saliency", "smoothed_saliency"))["maps"][1]
    assert flat(alone) == pytest.approx(flat(after), abs=1e-5)


def test_no_more_images_than_said(model: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_IMAGES", 6)
    found = explain_pairs(model, some(), NAMES, most_costly=2)
    assert found["num_images"] == 6
    assert [row["num_images"] for row in found["maps"]] == [6, 6, 2, 6]


def test_a_linear_network_has_no_class_activation_map_and_says_why() -> None:
    net = Classifier(made(nn.Sequential(nn.Flatten(), nn.Linear(3 * 256, 2))), classes=("a", "b"))
    rows = explain_pairs(net, some(), ("saliency", "grad_cam"))["maps"]
    assert "no layer has places" in rows[1]["reason"]
    assert "reason" not in rows[0]


def test_overlay_is_brightest_where_the_map_is_and_draws_the_edge() -> None:
    values, mask = torch.zeros(12, 12), torch.zeros(12, 12, dtype=torch.bool)
    values[2, 3] = 1.0
    mask[6:11, 6:11] = True
    shown = overlay(torch.full((3, 12, 12), 0.5), values, mask)
    assert shown[2, 3].tolist() == pytest.approx([229.5, 209.1, 25.5], abs=1)
    assert shown[0, 0].tolist() == shown[8, 8].tolist() == [128, 128, 128]
    assert (shown == np.array(EDGE)).all(2).sum() == 16


def worst_of(audit: dict[str, Any]) -> float:
    return float(audit["worst_case"][-1]["robust_accuracy"]["value"])


def run(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("explain", "default", "phantom", "data.limit=8", "--maps", "saliency,grad_cam", "--out", "found")
    assert result.exit_code == 0, result.output
    assert "Grad-CAM" in result.output
    found = json.loads(Path("found/explain.json").read_text())
    assert [row["name"] for row in found["maps"]] == ["saliency", "grad_cam"]
    for row in found["maps"]:
        for picture in row["pictures"]:
            with Image.open(Path("found/explain") / picture["clean_png"]) as image:
                assert image.size == (64, 64)
            assert picture["answer"] != picture["answer_attacked"]
    assert run("explain", "default", "phantom", "--maps", "saliencie").exit_code != 0
    assert not list(tmp_path.glob("found/parts"))


def test_an_audit_explains_only_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = ("audit", "data.limit=8", "attacks=[pgd]", "certify=off", *BUDGET)
    assert run(*given, "--out", "plain").exit_code == 0
    assert not Path("plain/explain.json").exists()
    assert "it is when an audit is asked for it, explain=on" in Path("plain/report.html").read_text()
    assert run(*given, "explain=on", "--out", "asked").exit_code == 0
    found = json.loads(Path("asked/explain.json").read_text())
    assert found["num_images"] > 0
    page = Path("asked/report.html").read_text()
    for row in found["maps"]:
        value = row["agreement"]["ssim"]
        assert f"{value['value']:.2f} [{value['low']:.2f}, {value['high']:.2f}]" in page
        steps = row["sanity"]["layers"]
        cheap = row["name"] not in module.PASSES
        assert [step["num_layers"] for step in steps] == ([1, 2, 3, 4, 5] if cheap else [])
    assert page.count("Layers with new weights, counted from the last</text>") == 1
    for title in ("Saliency", "Grad-CAM++"):
        assert f'class="label attack a{0 if title == "Saliency" else 3}">{title}</text>' in page
    plain, asked = (json.loads(Path(name, "audit.json").read_text()) for name in ("plain", "asked"))
    assert plain["worst_case"] == asked["worst_case"]
    # The smallest change of every image that was misled is explained, so the number is that of the rows.
    lost = plain["clean"]["accuracy"]["value"] - plain["worst_case"][-1]["robust_accuracy"]["value"]
    assert found["num_images"] == round(8 * lost)
    # And as many points of the map of the decision boundary are wrong in the picture of that budget.
    section = read(Path("asked/report.html")).section("boundary")
    pictures = {svg.one("title").text: svg for svg in section.all("svg", class_="plane") if svg.all("desc")}
    assert list(pictures) == ["Untouched", "Within 8 grey levels"]
    wrong = [round(8 * (1 - share)) for share in (asked["clean"]["accuracy"]["value"], worst_of(asked))]
    assert [len(svg.all(class_="wrong")) for svg in pictures.values()] == wrong
    dots = section.one("svg", class_="wide").all("circle")
    assert sum(int(dot.one("title").text.split()[0]) for dot in dots) == found["num_images"]
    assert f"{100 * found['boundary']['neighbors_kept']:.0f}% are among its" in section.text


def test_the_section_hides_pictures_of_maps_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        run("audit", "data.limit=8", "attacks=[pgd]", "certify=off", "explain=on", *BUDGET, "--out", "run").exit_code
        == 0
    )
    path = Path("run/explain.json")
    found = json.loads(path.read_text())
    shown = next(row for row in found["maps"] if row["pictures"])
    before = write_report(Path("run")).read_text()
    assert f"<h3>{shown['title']}</h3>" in before
    shown["sanity"]["verdict"] = "failed"
    path.write_text(json.dumps(found))
    after = write_report(Path("run")).read_text()
    assert f"<h3>{shown['title']}</h3>" not in after
    assert "no evidence of what the network uses" in after
