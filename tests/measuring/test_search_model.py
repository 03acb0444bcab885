"""Who decides and who searches: a copy that is compared with the classifier before it is trusted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from measuring.toys import EPSILONS, image_set, small_net
from medrobust.attacks import pgd
from medrobust.goals import Goal
from medrobust.losses import margin
from medrobust.measuring import Grid, Plan, measure, search_model
from medrobust.measuring.search_model import NUM_EXAMPLES, SearchModel, make_search_model
from medrobust.models.classifier import Classifier

PLAN = Plan({"pgd": pgd(num_steps=3)}, (Grid("linf", EPSILONS),), precision="float32")


def test_a_classifier_that_searches_itself_has_no_shortfall() -> None:
    model = small_net()
    assert SearchModel(model, model).shortfall == 0


def test_the_copy_answers_as_the_classifier_and_leaves_it_as_it_was() -> None:
    model, images = small_net(), image_set(20, 3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with model.frozen():
        found = make_search_model(model, images, PLAN)
        x = images.batch(range(20)).x
        with torch.no_grad():
            truth, fast = model(x), found.fast(x)
    assert found.model is model
    assert found.fast is not model
    assert torch.allclose(truth, fast, atol=1e-4)
    assert found.kind == "float32"
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

    def copied(model: nn.Module, example: Tensor, precision: str) -> tuple[nn.Module, str]:
        shown.append((len(example), precision))
        return Off(model), "off"

    monkeypatch.setattr(search_model, "search_copy", copied)
    model, images = small_net(), image_set(20, 3)
    with model.frozen(), torch.no_grad():
        found = make_search_model(model, images, PLAN)
        x = images.batch(range(NUM_EXAMPLES)).x
        truth, fast = model(x), Off(model)(x)
    goal = Goal(truth.argmax(1), False)
    gap = float((margin(truth, goal) - margin(fast, goal)).abs().max())
    assert found.shortfall == pytest.approx(2 * gap)
    assert 0 < found.shortfall < 0.01
    assert found.kind == "off"
    assert shown == [(NUM_EXAMPLES, "float32")]


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
        found = make_search_model(model, images, PLAN)
    assert found.fast is model
    assert found.kind == "float32, unchanged"
    assert len(measure(model, images, PLAN)[0]) == 6 * (1 + len(EPSILONS))
