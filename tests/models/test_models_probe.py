"""The facts that a check needs before anything is attacked."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn

from medrobust.models import Classifier
from medrobust.models.probe import probe
from medrobust.models.stopwatch import fastest
from medrobust.models.wrap import as_classifier


def body(scale: float = 1.0) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    net[4].weight.data.mul_(scale)
    return net.eval()


class Around(nn.Module):
    """A network with something before and behind it."""

    def __init__(self, before=lambda x: x, behind=lambda z: z, scale: float = 1.0) -> None:
        super().__init__()
        self.net, self.before, self.behind = body(scale), before, behind

    def forward(self, x: Tensor) -> Tensor:
        return self.behind(self.net(self.before(x)))


def through_numpy(x: Tensor) -> Tensor:
    return torch.from_numpy(x.numpy())  # refuses what requires a gradient


@pytest.fixture
def x() -> Tensor:
    return torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_a_sound_network(x: Tensor) -> None:
    model = Classifier(body(), channels=1).train()
    found = probe(model, x)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert (found.finite, found.dtype, found.outputs, found.num_classes) == (True, "float32", 2, 2)
    assert (found.kind, found.gradient, found.gradient_error, found.inverted) == ("logits", "yes", "", False)
    assert (found.zero_margin, found.zero_cross_entropy, found.saturated, found.bad_gradient) == (0, 0, 0, 0)
    assert max(found.batch_gap, found.repeat_gap) < 1e-5
    with torch.no_grad():
        logits = model.eval()(x)
    assert found.low == pytest.approx(float(logits.min()), abs=1e-6)
    assert found.largest_margin == pytest.approx(float(logits.diff().abs().max()), abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_types_of_number(dtype: torch.dtype, x: Tensor) -> None:
    assert probe(Classifier(body().to(dtype), channels=1), x).dtype == str(dtype).removeprefix("torch.")


FACTS = {
    "no gradient": (
        lambda: torch.no_grad()(Around().forward),
        {"gradient": "none", "zero_margin": 1, "zero_cross_entropy": 1},
    ),
    "detached": (lambda: Around(before=lambda x: x.detach()), {"gradient": "none", "zero_margin": 1}),
    "numpy": (lambda: Around(before=through_numpy), {"gradient": "raises", "zero_margin": 1}),
    "rounded": (lambda: Around(before=lambda x: (255 * x).round() / 255), {"gradient": "yes", "zero_margin": 1}),
    "in place": (
        lambda: Around(before=lambda x: x.mul_(2)),
        {"writes_input": True, "gradient": "yes", "zero_margin": 0},
    ),
    "saturated": (lambda: Around(scale=1e5), {"saturated": 1, "zero_margin": 0, "zero_cross_entropy": 1}),
    "softmax": (lambda: Around(behind=lambda z: z.softmax(1)), {"kind": "probabilities", "saturated": 0}),
    "log-softmax": (lambda: Around(behind=lambda z: z.log_softmax(1)), {"kind": "log_probabilities"}),
    "one sigmoid": (lambda: Around(behind=lambda z: z[:, :1].sigmoid()), {"kind": "probabilities", "outputs": 1}),
    "hand-made": (
        lambda: Around(behind=lambda z: (1 + torch.tanh(z.diff() * torch.tensor([[-0.5, 0.5]]))) / 2),
        {"kind": "probabilities", "inverted": True},
    ),
    "not finite": (lambda: Around(behind=lambda z: z / 0), {"finite": False}),
}


class Function(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize("name", FACTS)
def test_each_fact(name: str, x: Tensor) -> None:
    make, facts = FACTS[name]
    made = make()
    network = made if isinstance(made, nn.Module) else Function(made)
    model = as_classifier(network, x) if name != "not finite" else Classifier(network, channels=1)
    before = x.clone()
    found = probe(model, x)
    assert torch.equal(x, before)
    assert {key: getattr(found, key) for key in facts} == facts
    if name == "numpy":
        assert "numpy" in found.gradient_error


def test_what_is_random_and_what_mixes_images(x: Tensor) -> None:
    noisy = probe(as_classifier(Around(before=lambda x: x + 0.1 * torch.randn_like(x)), x), x)
    assert noisy.repeat_gap > 1e-4
    mixing = probe(as_classifier(Around(before=lambda x: x - x.mean(0)), x), x)
    assert mixing.repeat_gap == 0
    assert mixing.batch_gap > 1e-3


def test_few_images_are_enough(x: Tensor) -> None:
    for n in (1, 3):
        assert probe(Classifier(body(), channels=1), x[:n]).gradient == "yes"


def test_it_costs_a_few_passes() -> None:
    """About what three passes of all 8 images cost: less than a second for a ResNet-18 on one core."""
    torchvision = pytest.importorskip("torchvision")
    model = Classifier(torchvision.models.resnet18(num_classes=2)).eval()
    images = torch.rand(8, 3, 96, 96)
    with torch.no_grad():
        model(images)
        began = time.process_time()
        for _ in range(2):
            model(images)
        one = (time.process_time() - began) / 2
    began = time.process_time()
    probe(model, images)
    assert time.process_time() - began < 6 * one


def test_copies_of_a_network_without_gradients_are_timed_by_their_answers(x: Tensor) -> None:
    model = as_classifier(Around(before=lambda x: x.detach()), x)
    name, rates = fastest({"one": model, "two": model}, x, 4)
    assert name in rates
    assert min(rates.values()) > 0
