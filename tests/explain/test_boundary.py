"""The map of the decision boundary: features, places and colors, each held against another way to get it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

import medrobust as mr
from medrobust.auditing.boundary import boundary
from medrobust.auditing.setup import resolve
from medrobust.cli.main import app
from medrobust.errors import UserError
from medrobust.explain.boundary import look
from medrobust.explain.boundary_map import BoundaryMap
from medrobust.measuring.measure import measure
from medrobust.models.wrap import as_classifier
from medrobust.plane import SIDE, TOP
from medrobust.recipes.yaml import audit_recipe, read_recipe
from medrobust.records.sensitivity import sensitivity

from .explained_nets import made, small_2d


def resnet() -> tuple[nn.Module, str]:
    from torchvision.models import resnet18

    return resnet18(num_classes=3), "fc"


def vit() -> tuple[nn.Module, str]:
    from torchvision.models import VisionTransformer

    sizes: dict[str, int] = {"image_size": 32, "patch_size": 16, "num_layers": 2, "num_heads": 2}
    return VisionTransformer(**sizes, hidden_dim=24, mlp_dim=32, num_classes=3), "heads.head"


def one_logit() -> tuple[nn.Module, str]:
    return small_2d(outputs=1), "7"


@pytest.mark.parametrize("build", [resnet, vit, one_logit])
def test_features_are_those_of_a_hook(build: Any) -> None:
    torch.manual_seed(0)
    net, last = build()
    x = torch.rand(7, 3, 32, 32)
    caught: list[Tensor] = []
    handle = net.eval().get_submodule(last).register_forward_pre_hook(lambda module, given: caught.append(given[0]))
    with torch.no_grad():
        logits = net(x)
    handle.remove()
    found = look(as_classifier(net, x[:2]), list(x), batch_size=3)
    assert found.features == pytest.approx(caught[0].numpy(), rel=1e-3, abs=1e-5)
    expected = logits.argmax(1) if logits.shape[1] > 1 else (logits[:, 0] > 0).long()
    assert found.answers.tolist() == expected.tolist()
    assert f"{caught[0].shape[1]} features" in found.layer


def line() -> nn.Module:
    """Class 1 where x0 + x1 > 1, of images of two pixels: its features are the plane of the pixels."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
        net[1].bias.copy_(torch.tensor([0.0, -1.0]))
    return net.eval()


def across(points: Tensor) -> Tensor:
    """The points mirrored at that line."""
    return 1 - points.flip(-1)


@pytest.fixture
def linear() -> tuple[BoundaryMap, Tensor, Tensor]:
    """A map of 400 images; at the first budget the even ones are mirrored, at the second the odd ones."""
    x = torch.rand(400, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    y = (x.flatten(1).sum(1) > 1).long()
    even, odd = x.clone(), x.clone()
    even[::2], odd[1::2] = across(x[::2]), across(x[1::2])
    return mr.explain.boundary_map(line(), x, {0.2: odd, 0.1: even}, y), x, y


def test_a_plane_stays_as_it_is(linear: tuple[BoundaryMap, Tensor, Tensor]) -> None:
    found, x, _ = linear
    assert found.method == "none"
    assert found.trustworthiness == found.neighbors_kept == 1
    assert found.places[found.at[0]] == pytest.approx(x.flatten(1).numpy().astype(float))
    left, bottom, right, top = found.box
    middle = (np.arange(100) + 0.5) / 100
    row, column = np.meshgrid(bottom + middle * (top - bottom), left + middle * (right - left), indexing="ij")
    above = row + column - 1
    sure = np.abs(above) / 2**0.5 > 0.1  # as wide as eleven of 800 points lie apart
    assert sure.mean() > 0.6
    assert np.array_equal(found.fills[sure], (above[sure] > 0).astype(int))


def test_a_clean_point_is_where_it_was_at_every_budget(linear: tuple[BoundaryMap, Tensor, Tensor]) -> None:
    found, _, _ = linear
    assert found.budgets == (0.1, 0.2)
    untouched, first, second = (found.marks(row) for row in range(3))
    assert not any(mark.attacked for mark in untouched)
    assert [mark.attacked for mark in first] == [i % 2 == 0 for i in range(400)]
    assert all(untouched[i] == first[i] for i in range(1, 400, 2))
    assert all(untouched[i] == second[i] for i in range(0, 400, 2))
    assert len(found.places) == 800


def test_each_budget_has_the_colors_of_its_own_images(linear: tuple[BoundaryMap, Tensor, Tensor]) -> None:
    """The published code reuses those of the first budget: there the same images would be wrong in all pictures."""
    found, _, y = linear
    assert [mark.truth for mark in found.marks(2)] == y.tolist()
    assert [mark.wrong for mark in found.marks(0)] == [False] * 400
    assert [mark.wrong for mark in found.marks(1)] == [i % 2 == 0 for i in range(400)]
    assert [mark.wrong for mark in found.marks(2)] == [i % 2 == 1 for i in range(400)]


def drawn_area(svg: str, x: float, y: float) -> str:
    """The class of the area at a place of a picture, read from its paths."""
    group = re.search(r'<g class="in"[^>]*>(.*?)</g>', svg)
    assert group
    column, row = int(x / (SIDE / 100)), int((y - TOP) / (SIDE / 100))
    for runs, kind in re.findall(r'<path d="([^"]*)" class="(k\d)"', group[1]):
        for begin, at, length in re.findall(r"M(\d+) (\d+)h(\d+)", runs):
            if int(at) == row and int(begin) <= column < int(begin) + int(length):
                return str(kind)
    raise AssertionError("no area there")


def test_a_wrong_point_lies_in_another_color_than_its_own(linear: tuple[BoundaryMap, Tensor, Tensor]) -> None:
    found, _, _ = linear
    svg = found.svg(1)
    diamonds = re.findall(r'<path d="M([\d.]+) ([\d.]+)l[^"]*" class="(k\d) at( wrong)?"', svg)
    assert len(diamonds) == 200 + 1  # and one in the legend
    compared = 0
    for mark, (at_x, at_y, kind, wrong) in zip(found.marks(1)[::2], diamonds, strict=False):
        area = drawn_area(svg, float(at_x), float(at_y) + 4)
        assert (kind, bool(wrong)) == (f"k{mark.truth}", True)
        if abs(mark.x + mark.y - 1) > 0.2:
            assert area != kind
            compared += 1
    assert compared > 100
    circles = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="3" class="(k\d) at"', svg)
    right = [drawn_area(svg, float(a), float(b)) == kind for a, b, kind in circles[:200]]
    assert np.mean(right) > 0.9


def test_one_answer_everywhere() -> None:
    net = made(small_2d())
    with torch.no_grad():
        net[7].bias.copy_(torch.tensor([0.0, 1e3, 0.0]))
    found = mr.explain.boundary_map(net, torch.rand(15, 3, 16, 16), {}, torch.arange(15) % 3)
    assert (found.fills == 1).all()
    assert sum(mark.wrong for mark in found.marks(0)) == 10
    assert 'class="k1"' in found.svg(0)
    assert found.fill_agrees == 1


def test_what_does_not_fit_is_refused() -> None:
    net, x, y = made(small_2d()), torch.rand(14, 3, 16, 16), torch.arange(14) % 3
    for given, place in (
        ((x, {0.1: x[:5]}, y), "x_adv_by_budget"),
        ((x, {0.0: x}, y), "x_adv_by_budget"),
        ((x, {}, y[:5]), "y"),
        ((x, {}, y + 1), "y"),
        ((x[:6], {0.1: x[:6]}, y[:6]), "boundary"),
    ):
        with pytest.raises(UserError) as caught:
            mr.explain.boundary_map(net, *given)
        assert caught.value.place == place
    training = net.train().training
    mr.explain.boundary_map(net, x, {0.1: x}, y)
    assert net.training == training


def test_of_an_audit_as_many_are_wrong_as_the_rows_say(tmp_path: Path) -> None:
    words = ["data.limit=24", "attacks=[pgd]", "threat.epsilons=[0.5/255,2/255,4/255]", "explain=on"]
    setup = resolve(audit_recipe(read_recipe(None, words, {})))
    rows, _ = measure(setup.model, setup.images, setup.plan, tmp_path / "parts")
    found = boundary(setup, rows, tmp_path / "parts", folder=tmp_path)
    wrong = sensitivity(rows, "linf").epsilon_wrong
    ids = rows.clean["image_id"].tolist()
    order = [ids.index(name) for name in found["ids"]]
    answers, labels = np.array(found["answers"]), np.array(found["labels"])
    assert len(found["ids"]) == 24
    for at, epsilon in zip(found["at"], [0.0, *found["budgets"]], strict=True):
        assert (answers[at] != labels).tolist() == (wrong[order] <= epsilon).tolist()
    moved = [sum(a != b for a, b in zip(at, found["at"][0], strict=True)) for at in found["at"]]
    assert moved[0] == 0 < moved[-1]
    assert moved[1] < moved[-1]
    assert sum(length for _, length in found["runs"]) == 100 * 100
    smallest = [np.inf if size is None else size for size in found["smallest"]]
    assert smallest == pytest.approx(sensitivity(rows, "linf").change_wrong[order].tolist())
    assert sorted(path.name for path in tmp_path.glob("*.svg")) == [f"boundary_0{i}.svg" for i in range(4)]
    assert boundary(setup, rows, tmp_path / "parts") == found
    paper = replace(setup, plan=replace(setup.plan, protocol="paper"))
    assert "protocol=paper keeps no" in boundary(paper, rows, tmp_path / "parts")["reason"]


def test_few_images_have_a_reason_and_their_distances(tmp_path: Path) -> None:
    given = ("data.limit=5", "attacks=[pgd]", "threat.epsilons=[8/255]", "--maps", "saliency")
    result = CliRunner().invoke(app, ["explain", "default", "phantom", *given, "--out", str(tmp_path / "found")])
    assert result.exit_code == 0, result.output
    assert "decision boundary: no map" in result.output
    found = json.loads((tmp_path / "found" / "explain.json").read_text())["boundary"]
    assert "a map needs 12" in found["reason"]
    assert len(found["smallest"]) == 5
