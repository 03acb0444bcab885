"""The last linear layer is found however a network is written, and other outputs can stand in its place."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medrobust.models import Classifier
from medrobust.models.last_layer import Place, features, find_last_layer, with_outputs


class Functional(nn.Module):
    """The same network in matrix products."""

    def __init__(self, product: str) -> None:
        super().__init__()
        self.first, self.last, self.product = nn.Linear(48, 32), nn.Linear(32, 3), product

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x.flatten(1)).relu()
        weight, bias = self.last.weight, self.last.bias
        forms: dict[str, Any] = {
            "linear": lambda: nn.functional.linear(hidden, weight, bias),
            "addmm": lambda: torch.addmm(bias, hidden, weight.T),
            "matmul": lambda: hidden @ weight.T + bias,
            "mm": lambda: torch.mm(hidden, weight.T) + bias,
        }
        return forms[self.product]()

    def hidden(self, x: Tensor) -> Tensor:
        return self.first(x.flatten(1)).relu()


@pytest.mark.parametrize("product", ["linear", "addmm", "matmul", "mm"])
def test_features_are_what_the_last_layer_is_given(product: str) -> None:
    net, x = Functional(product).eval(), torch.rand(4, 3, 4, 4)
    model = Classifier(net)
    place = find_last_layer(model, x[:2], 24)
    assert place is not None
    # Behind a bare product comes the bias, which would be added to other outputs as well.
    assert (place.num_features, place.outputs, place.in_place) == (32, 3, product in ("linear", "addmm"))
    assert torch.allclose(features(model, x, place), net.hidden(x))


def test_an_exported_program_has_one_too(tmp_path: Any) -> None:
    """Its calls are those of aten; what is found in it equals what is found in the module."""
    net, x = Functional("linear").eval(), torch.rand(4, 3, 4, 4)
    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(net, (x,), dynamic_shapes=({0: batch},)).module()
    model = Classifier(program)
    place = find_last_layer(model, x[:2], 24)
    assert place is not None
    assert place.in_place
    assert torch.allclose(features(model, x, place), net.hidden(x), atol=1e-6)


def test_what_comes_after_the_layer_stays() -> None:
    """A temperature behind the layer acts on the outputs that are put in its place."""

    class Hot(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = Functional("linear")

        def forward(self, x: Tensor) -> Tensor:
            return 30 * self.net(x)

    model, x = Classifier(Hot().eval()), torch.rand(4, 3, 4, 4)
    place = find_last_layer(model, x[:2], 24)
    assert place is not None
    logits, _ = with_outputs(model, x, place, lambda given, out: torch.ones_like(out))
    assert logits.tolist() == [[30.0] * 3] * 4


def test_a_narrow_last_layer_gives_way_to_an_earlier_one() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 30), nn.ReLU(), nn.Linear(30, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    place = find_last_layer(Classifier(net), torch.rand(2, 3, 4, 4), 24)
    assert place == Place(1, 30, 2, False, "an earlier linear layer, of 30 values")


def test_a_network_without_known_layers_has_none() -> None:
    class Sums(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x.sum((1, 2, 3)), -x.sum((1, 2, 3))], 1)

    assert find_last_layer(Classifier(Sums()), torch.rand(2, 3, 4, 4), 24) is None


def test_a_network_that_calls_other_layers_is_refused() -> None:
    net, x = Functional("linear").eval(), torch.rand(2, 3, 4, 4)
    with pytest.raises(ValueError, match="other layers"):
        features(Classifier(net), x, Place(7, 32, 3, True, "nothing"))
