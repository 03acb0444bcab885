"""Maps that do not depend on the network fail; gradients of a network that learned pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medrobust.explain import MAPS, grad_cam, saliency
from medrobust.explain.agreement import rank_correlation
from medrobust.explain.sanity import cascade, randomized, sanity
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


def deep() -> nn.Module:
    """Six layers with weights."""
    layers = [part for _ in range(5) for part in (nn.Linear(32, 32), nn.Softplus())]
    return made(nn.Sequential(nn.Flatten(), nn.Linear(64, 32), *layers[1:], nn.Linear(32, 2)))


def test_a_cascade_begins_with_the_last_layer_and_ends_with_all() -> None:
    net = deep()
    names = [name for name, value in net.named_parameters() if value.ndim > 1]
    all_new = randomized(net, 3)
    assert all_new is not None
    new = dict(all_new.named_parameters())
    for last in range(1, len(names) + 1):
        part = randomized(net, 3, last)
        assert part is not None
        old = dict(net.named_parameters())
        for name, value in part.named_parameters():
            expected = new if name in names[len(names) - last :] else old
            assert torch.equal(value, expected[name])


def test_the_last_step_is_the_test_of_all_layers() -> None:
    net, by = deep(), Grouping(np.arange(10))
    x = torch.rand(10, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    target = net(x).argmax(1)
    maps = saliency(net, x, target)
    steps = cascade(saliency, net, x, maps, target, by, most=4)
    assert [step.num_layers for step in steps] == [1, 3, 4, 6]
    whole = sanity(saliency, net, x, maps, target, by)
    assert steps[-1].rank_correlation == whole.rank_correlation
    # by hand: a network whose last layer alone is new
    other = randomized(net, 0, 1)
    assert other is not None
    found = rank_correlation(maps, saliency(other, x, target)).mean()
    assert steps[0].rank_correlation.value == pytest.approx(found)
    flat = cascade(edges, net, x, edges(net, x, target), target, by)
    assert [step.rank_correlation.value for step in flat] == pytest.approx([1.0] * 5)
    assert cascade(saliency, nn.Sequential(nn.Flatten()), x, maps, target, by) == []
