"""Batch norm is folded into a convolution only where the two belong to each other alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from medrobust.models import Classifier, new_classifier
from medrobust.models.drop_max import DropMax
from medrobust.models.fold import fold_batch_norm, folded_pairs
from medrobust.models.search_copy import search_copy
from medrobust.models.twin import Twin


class Parts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.h, self.other = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.b1, self.b2, self.fc = nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(self.stem(x)).mean((2, 3)))


class TwoNorms(Parts):
    def body(self, z: Tensor) -> Tensor:
        return self.b2(self.h(self.b1(self.h(z)).relu())).relu()


class OneNormTwoConvolutions(Parts):
    def body(self, z: Tensor) -> Tensor:
        return self.b1(self.other(self.b1(self.h(z)).relu())).relu()


class AlsoBare(Parts):
    def body(self, z: Tensor) -> Tensor:
        return self.h(self.b1(self.h(z)).relu())


class SharedWeight(Parts):
    def __init__(self) -> None:
        super().__init__()
        self.other.weight = self.h.weight

    def body(self, z: Tensor) -> Tensor:
        return self.other(self.b1(self.h(z)).relu())


class WeightElsewhere(Parts):
    def body(self, z: Tensor) -> Tensor:
        return nn.functional.conv2d(self.b1(self.h(z)).relu(), self.h.weight)


class TwoNames(Parts):
    def __init__(self) -> None:
        super().__init__()
        self.again = self.h

    def body(self, z: Tensor) -> Tensor:
        return self.b2(self.again(self.b1(self.h(z)).relu()))


class Hooked(Parts):
    def __init__(self) -> None:
        super().__init__()
        self.h.register_forward_hook(lambda module, args, out: out + 1)

    def body(self, z: Tensor) -> Tensor:
        return self.b1(self.h(z)).relu()


class Fit(Parts):
    def body(self, z: Tensor) -> Tensor:
        return self.b2(self.other(self.b1(self.h(z)).relu()))


class AfterLinear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.flat, self.fc = nn.Conv2d(1, 2, 3), nn.Linear(72, 4), nn.Linear(4, 2)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(self.flat(self.stem(x).flatten(1))).relu())


def moved(network: nn.Module) -> None:
    """Statistics and weights of batch norm as training leaves them."""
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.2, 3)
            nn.init.uniform_(module.weight, 0.3, 2)
            nn.init.uniform_(module.bias, -1, 1)


@pytest.mark.parametrize(
    "kind",
    [TwoNorms, OneNormTwoConvolutions, AlsoBare, SharedWeight, WeightElsewhere, TwoNames, Hooked, Fit, AfterLinear],
)
def test_a_copy_answers_as_the_network_after_its_statistics_have_moved(kind: type[nn.Module]) -> None:
    model, x = Classifier(kind(), channels=1, classes=("a", "b")).eval(), torch.rand(8, 1, 8, 8)
    twin = Twin.of(model, x, "float32")
    moved(model.network)
    with torch.no_grad():
        truth = model(x)
        assert float(truth.std()) > 1e-3
        torch.testing.assert_close(search_copy(model, x, "float32")[0](x), truth, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(fold_batch_norm(model.network)(x), truth, rtol=1e-4, atol=1e-5)
        if twin is not None:
            torch.testing.assert_close(twin.refreshed()(x), truth, rtol=1e-4, atol=1e-5)


def test_what_belongs_together_is_folded_and_nothing_else() -> None:
    assert folded_pairs(Fit()) == {"h": "b1", "other": "b2"}
    assert all(not folded_pairs(kind()) for kind in (TwoNorms, OneNormTwoConvolutions, AlsoBare, TwoNames, Hooked))
    assert not folded_pairs(SharedWeight())
    assert not folded_pairs(WeightElsewhere())
    network = TwoNorms()
    assert fold_batch_norm(network) is network


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        ("torchvision:resnet18", 20),
        ("torchvision:mobilenet_v2", 52),
        ("torchvision:shufflenet_v2_x0_5", 56),
    ],
)
def test_real_networks_are_folded_exactly(spec: str, count: int) -> None:
    model = new_classifier(spec, classes=("a", "b"), data_channels=3, image_size=32, seed=1)
    x = torch.rand(4, 3, 32, 32)
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(8, 3, 32, 32))
    model.eval()
    assert len(folded_pairs(model.network)) == count
    with torch.no_grad():
        double = model.double()
        folded = fold_batch_norm(double.network)
        torch.testing.assert_close(folded(x.double()), double.network(x.double()), rtol=1e-9, atol=1e-10)


def test_a_network_with_drop_max_is_folded_too() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), DropMax(3, 2, 1), nn.Conv2d(4, 2, 1)
    ).eval()
    network[1].running_mean.normal_()
    network[1].running_var.uniform_(0.5, 2)
    folded = fold_batch_norm(network)
    assert [type(module) for module in folded.children()] == [nn.Conv2d, nn.ReLU, DropMax, nn.Conv2d]
    x = torch.rand(2, 3, 16, 16, requires_grad=True)
    torch.testing.assert_close(folded(x), network(x))
    slopes = (torch.autograd.grad(net(x).square().sum(), x)[0] for net in (folded, network))
    torch.testing.assert_close(*slopes)
