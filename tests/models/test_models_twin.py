import copy

import pytest
import torch
from torch import nn

from medrobust.models import Classifier, new_classifier
from medrobust.models.layers import exact_first_layer
from medrobust.models.twin import Twin


class Untraceable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)

    def forward(self, x):
        x = self.norm(self.conv(x)).relu()
        if x.sum() > 1e9:  # fx cannot follow a decision on values
            x = -x
        return self.fc(x.mean((2, 3)))


def some_training(model: nn.Module, x: torch.Tensor) -> None:
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), torch.arange(len(x)) % 2).backward()
        optimizer.step()


@pytest.mark.parametrize("spec", ["zoo:cbr_tiny(width=4)", "zoo:cifar_resnet_8", "torchvision:resnet18", "own"])
@pytest.mark.parametrize("precision", ["float32", "fast"])
def test_a_twin_follows_its_model(spec: str, precision: str) -> None:
    x = torch.rand(6, 1, 32, 32)
    if spec == "own":
        model = Classifier(Untraceable(), channels=1, classes=("a", "b"))
    else:
        if spec.startswith("torchvision"):
            pytest.importorskip("torchvision")
        model = new_classifier(spec, classes=("a", "b"), data_channels=1, image_size=32, mean=[0.4], std=[0.3])
    twin = Twin.of(model, x, precision)
    assert twin is not None
    old = twin.refreshed()(x)
    some_training(model, x)
    modes = [m.training for m in model.modules()]
    found = twin.refreshed()(x)
    assert [m.training for m in model.modules()] == modes
    exact = copy.deepcopy(model).eval()(x)
    spread = float((exact - exact.mean(1, keepdim=True)).detach().abs().max())
    assert float((found - exact).detach().abs().max()) < (1e-3 if precision == "float32" else 0.1) * spread
    assert float((found - old).abs().max()) > 0.2 * spread
    assert not any(p.requires_grad for p in twin.stand_in.parameters())


def test_the_first_layer_stays_exact_under_autocast_and_in_copies() -> None:
    model = new_classifier("zoo:cbr_tiny(width=4)", classes=("a", "b"), data_channels=1)
    first = model.network[0].conv
    names = list(model.state_dict())
    x = 0.7 + 1e-4 * torch.arange(32.0).expand(1, 1, 32, 32)
    plain = first(x)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = first(x)
    exact_first_layer(model.network)
    assert list(model.state_dict()) == names
    assert torch.equal(first(x), plain)
    with torch.autocast("cpu", torch.bfloat16):
        exact = first(x)
    assert exact.dtype == torch.bfloat16
    assert torch.equal(exact, plain.bfloat16())
    assert not torch.equal(rounded, exact)
    other = copy.deepcopy(model)
    nn.init.zeros_(other.network[0].conv.weight)
    assert other.network[0].conv(x).abs().max() == 0
    assert first(x).abs().max() > 0
