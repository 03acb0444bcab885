"""Who decides and who searches: a copy that is compared with the classifier before it is trusted."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from measuring.toys import EPSILONS, image_set, small_net
from medrobust.attacks import pgd
from medrobust.goals import Goal
from medrobust.losses import margin
from medrobust.measuring import Grid, Plan, measure, rates, search_model
from medrobust.measuring.search_model import NUM_EXAMPLES, SearchModel, make_search_model
from medrobust.models.classifier import Classifier
from medrobust.models.search_copy import UNCHANGED

PLAN = Plan({"pgd": pgd(num_steps=3)}, (Grid("linf", EPSILONS),), precision="float32")


def test_a_classifier_that_searches_itself_has_no_shortfall() -> None:
    model = small_net()
    assert SearchModel(model, model).shortfall == 0


def test_the_copy_answers_as_the_classifier_and_leaves_it_as_it_was() -> None:
    model, images = small_net(), image_set(20, 3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with model.frozen():
        found, _ = make_search_model(model, images, PLAN)
        x = images.batch(range(20)).x
        with torch.no_grad():
            truth, fast = model(x), found.fast(x)
    assert found.model is model
    assert found.fast is not model or found.kind == UNCHANGED
    assert torch.allclose(truth, fast, atol=1e-4)
    assert found.kind in ("float32", "float32, contiguous", UNCHANGED)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())


class Off(nn.Module):
    """Another model that is off by something, more so for brighter images."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        logits = self.model(x)
        return torch.cat([logits[:, :1] + 1e-3 * x.flatten(1).mean(1, keepdim=True), logits[:, 1:]], 1)


def test_the_shortfall_is_twice_the_largest_error_of_a_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []

    def copied(
        model: nn.Module, example: Tensor, precision: str, wanted: object = None
    ) -> Iterator[tuple[nn.Module, str]]:
        shown.append((len(example), precision))
        yield Off(model), "off"

    monkeypatch.setattr(search_model, "alike_copies", copied)
    model, images = small_net(), image_set(20, 3)
    with model.frozen(), torch.no_grad():
        found, _ = make_search_model(model, images, PLAN)
        x = images.batch(range(NUM_EXAMPLES)).x
        truth, fast = model(x), Off(model)(x)
    goal = Goal(truth.argmax(1), False)
    gap = float((margin(truth, goal) - margin(fast, goal)).abs().max())
    assert found.shortfall == pytest.approx(2 * gap)
    assert 0 < found.shortfall < 0.01
    assert found.kind == "off"
    assert set(shown) == {(NUM_EXAMPLES, "float32")}


class Uncopyable(nn.Module):
    """A network that holds what cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 2)
        self.generator = (i for i in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(1))


def test_a_network_that_cannot_be_copied_is_measured_as_it_is() -> None:
    model, images = Classifier(Uncopyable(), classes=["c0", "c1"], channels=1), image_set(6)
    with model.frozen():
        found, _ = make_search_model(model, images, PLAN)
    assert found.fast is model
    assert found.kind == "float32, unchanged"
    assert len(measure(model, images, PLAN)[0]) == 6 * (1 + len(EPSILONS))


class Slow(nn.Module):
    """A model that takes its time."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.02)
        return self.model(x)


def copies(model: nn.Module, example: Tensor, precision: str, wanted: object = None) -> Iterator[tuple[nn.Module, str]]:
    yield Slow(model), "slow"
    yield model, "quick"


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine on which nothing was measured yet; its cache folder."""
    monkeypatch.setattr(rates, "_known", {})
    monkeypatch.setenv("MEDROBUST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(search_model, "alike_copies", copies)
    return tmp_path / "cache"


def test_the_fastest_copy_is_chosen_once_and_remembered(forgetful: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = small_net().eval(), image_set(6)
    found, measured = make_search_model(model, images, PLAN)
    assert found.kind == "quick"
    assert measured["quick"] > measured["slow"] > 0
    monkeypatch.setattr(search_model, "fastest", None)  # not asked again, in this process or in the next
    assert make_search_model(model, images, PLAN)[0].kind == "quick"
    monkeypatch.setattr(rates, "_known", {})
    assert make_search_model(model, images, PLAN)[0].kind == "quick"


def test_other_weights_are_measured_anew(forgetful: Path) -> None:
    images, timed = image_set(6), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), classes=["c0", "c1"], channels=1)
        timed.append(make_search_model(model, images, PLAN)[1])
    assert timed[0] != timed[1]
    assert len(json.loads((forgetful / "rates.json").read_text())) == 2


@pytest.mark.parametrize("content", ["", "[]", '{"x": 3}'])
def test_a_damaged_memory_is_no_obstacle(forgetful: Path, content: str) -> None:
    forgetful.mkdir()
    (forgetful / "rates.json").write_text(content)
    assert make_search_model(small_net(), image_set(6), PLAN)[0].kind == "quick"


def test_a_run_that_goes_on_keeps_its_copy(forgetful: Path, tmp_path: Path) -> None:
    model, images = small_net(), image_set(6)
    folder = tmp_path / "run" / "parts"
    folder.mkdir(parents=True)
    (folder / "layout.json").write_text('{"images": 4, "search": "slow"}')
    _, cost = measure(model, images, PLAN, folder)
    assert cost["search"]["copy"] == "slow"
