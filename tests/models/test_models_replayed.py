"""Graphs of fixed sizes, without a graphics card: the same code, capturing nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from medrobust.models.replayed import Capture, Network, Replayed, cuda_graph, replayed


def tiny_network() -> nn.Module:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))
    return net.eval().requires_grad_(False)


def as_it_is(network: Network, example: Tensor) -> Network:
    return network


def strict(network: Network, example: Tensor) -> Network:
    """Runs at the captured shape only, as a graph does."""

    def call(x: Tensor) -> Tensor:
        assert x.shape == example.shape
        return network(x)

    return call


def gradient(network: Network, x: Tensor) -> tuple[Tensor, Tensor]:
    leaf = x.clone().requires_grad_()
    logits = network(leaf)
    return logits.detach(), torch.autograd.grad(logits.square().sum(), leaf)[0]


@pytest.mark.parametrize("n", [1, 7, 8, 9, 31, 32, 33])
def test_batches_of_every_size_answer_as_the_network(n: int) -> None:
    network = tiny_network()
    graphs = Replayed(network, torch.rand(1, 3, 16, 16), 32, strict)
    assert graphs.sizes == (32, 16, 8)
    x = torch.rand(n, 3, 16, 16)
    for found, truth in zip(gradient(graphs, x), gradient(network, x), strict=True):
        assert found.shape == truth.shape
        torch.testing.assert_close(found, truth)


def test_volumes() -> None:
    network = nn.Sequential(nn.Conv3d(1, 2, 3), nn.Flatten(), nn.Linear(16, 2)).requires_grad_(False)
    x = torch.rand(5, 1, 4, 4, 4)
    torch.testing.assert_close(Replayed(network, x[:1], 8, strict)(x), network(x))


def refuses(network: Network, example: Tensor) -> Network:
    raise RuntimeError("cannot be captured")


def stale(network: Network, example: Tensor) -> Network:
    first = network(example).detach()
    return lambda x: first + 0 * network(x)


@pytest.mark.parametrize(("capture", "works"), [(as_it_is, True), (refuses, False), (stale, False)])
def test_what_cannot_be_captured_or_answers_otherwise_is_left(capture: Capture, works: bool) -> None:
    network, x = tiny_network(), torch.rand(4, 3, 16, 16)
    assert (replayed(network, x, 8, 1e-4, capture) is not None) == works


def test_without_a_graphics_card_there_are_none() -> None:
    assert replayed(tiny_network(), torch.rand(4, 3, 16, 16), 8, 1e-4) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a graphics card")
@pytest.mark.filterwarnings("ignore:Attempting to run cuBLAS")  # the first gradient of a process
def test_graphs_on_a_graphics_card() -> None:
    network = tiny_network().cuda()
    x = torch.rand(20, 3, 16, 16, device="cuda")
    graphs = Replayed(network, x[:1], 16, cuda_graph())
    kept = [gradient(graphs, x[k : k + 9]) for k in range(3)]
    for k in range(3):
        for found, truth in zip(kept[k], gradient(network, x[k : k + 9]), strict=True):
            torch.testing.assert_close(found, truth, rtol=1e-3, atol=1e-4)
