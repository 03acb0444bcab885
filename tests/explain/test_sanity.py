"""Maps that do not depend on the network fail; gradients of a network that learned pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medrobust.explain import MAPS, grad_cam, saliency
from medrobust.explain.sanity import randomized, sanity
from medrobust.records.intervals import Grouping

from .explained_nets import made, small_2d


def edges(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """An edge detector, which explains nothing."""
    return x.diff(dim=2, prepend=x[:, :, :1]).abs().amax(1)


def times_input(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Saliency drowned by the image."""
    return x.amax(1) * (1 + 1e-3 * saliency(model, x, target))


def run(make: object, net: nn.Module) -> tuple[str, float]:
    x = torch.rand(12, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    target = net(x).argmax(1)
    found = sanity(make, net, x, make(net, x, target), target, Grouping(np.arange(12)))  # type: ignore[operator, arg-type]
    return found.verdict, found.rank_correlation.value


@pytest.mark.parametrize("make", [edges, times_input])
def test_maps_of_the_image_alone_fail(make: object) -> None:
    verdict, value = run(make, made(small_2d()))
    assert verdict == "failed"
    assert value > 0.9


@pytest.mark.parametrize("name", MAPS)
def test_the_verdict_follows_the_threshold(name: str) -> None:
    net = made(small_2d() if "cam" in name else nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3)))
    verdict, value = run(MAPS[name], net)
    assert (verdict == "failed") == (value >= 0.5)
    if name in ("saliency", "smooth_grad"):  # of a linear network they are its weights, and new weights are others
        assert abs(value) < 0.3  # the standard deviation of one correlation of 256 pixels is 0.06
        assert verdict == "passed"


def test_only_the_weights_are_drawn_anew_and_only_of_the_copy() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    other = randomized(net, 1)
    assert other is not None
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    changed = {name for name, value in other.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"0.weight", "2.weight"}
    again = randomized(net, 1)
    assert again is not None
    assert torch.equal(again[0].weight, other[0].weight)  # type: ignore[index]


def test_what_cannot_be_tested_is_not_called_passed() -> None:
    net = nn.Sequential(nn.Flatten())
    x = torch.rand(3, 1, 1, 2)
    found = sanity(saliency, net, x, saliency(net, x), net(x).argmax(1), Grouping(np.arange(3)))
    assert found.verdict == "not known"
    assert "no weights" in found.reason


def test_maps_of_zeros_are_not_called_passed() -> None:
    net = made(small_2d())
    x = torch.rand(3, 3, 16, 16)
    nothing = torch.zeros(3, 16, 16)
    assert sanity(grad_cam, net, x, nothing, net(x).argmax(1), Grouping(np.arange(3))).verdict == "not known"
