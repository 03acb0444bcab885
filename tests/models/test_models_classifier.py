import pytest
import torch
from torch import nn

from medrobust.errors import UserError
from medrobust.models import Classifier


def linear(outputs: int, inputs: int = 12) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, outputs))


def test_normalization_is_inside() -> None:
    net = linear(2)
    x = torch.rand(5, 3, 2, 2)
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    expected = net((x - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None])
    torch.testing.assert_close(Classifier(net, mean=mean, std=std)(x), expected)


def test_one_value_of_mean_serves_every_channel_and_grey_is_repeated() -> None:
    net = linear(2)
    x = torch.rand(5, 1, 2, 2)
    torch.testing.assert_close(Classifier(net, mean=0.5, std=0.2)(x), net(((x - 0.5) / 0.2).expand(-1, 3, -1, -1)))


def test_volumes_are_taken() -> None:
    net = linear(2, 1 * 2 * 3 * 2)
    assert Classifier(net, mean=0.5, std=0.5, channels=1)(torch.rand(4, 1, 2, 3, 2)).shape == (4, 2)


def test_colour_into_a_grey_network_is_refused() -> None:
    with pytest.raises(UserError, match=r"Use data\.color=grey"):
        Classifier(linear(2), channels=1)(torch.rand(2, 3, 2, 2))


def test_one_logit_keeps_its_probability() -> None:
    net = linear(1)
    x = torch.rand(6, 3, 2, 2)
    model = Classifier(net, head="one_logit", classes=("a", "b"))
    torch.testing.assert_close(model(x).softmax(1)[:, 1], net(x)[:, 0].sigmoid())
    assert model.num_classes == 2


def test_one_logit_takes_a_flat_output() -> None:
    model = Classifier(nn.Sequential(linear(1), nn.Flatten(0)), head="one_logit")
    assert model(torch.rand(6, 3, 2, 2)).shape == (6, 2)


@pytest.mark.parametrize("outputs", [1, 3])
def test_probabilities_become_logits_with_the_same_softmax(outputs: int) -> None:
    last = nn.Sigmoid() if outputs == 1 else nn.Softmax(1)
    net = nn.Sequential(linear(outputs), last)
    x = torch.rand(6, 3, 2, 2)
    p = net(x)
    expected = torch.cat([1 - p, p], 1) if outputs == 1 else p
    torch.testing.assert_close(Classifier(net, head="probabilities")(x).softmax(1), expected)


def test_half_precision_outputs_become_float32_and_float64_stays() -> None:
    model = Classifier(linear(2).bfloat16())
    assert model(torch.rand(2, 3, 2, 2).bfloat16()).dtype == torch.float32
    assert Classifier(linear(2).double(), mean=0.5)(torch.rand(2, 3, 2, 2).double()).dtype == torch.float64


def test_wrong_number_of_classes_is_refused() -> None:
    with pytest.raises(UserError, match="gives 3 outputs for 2 classes"):
        Classifier(linear(3), classes=("a", "b"))(torch.rand(2, 3, 2, 2))


def test_number_of_classes_is_known_after_a_forward_pass() -> None:
    model = Classifier(linear(3))
    with pytest.raises(UserError, match="not known"):
        _ = model.num_classes
    model(torch.rand(2, 3, 2, 2))
    assert model.num_classes == 3


BAD = [{"mean": [0.1, 0.2]}, {"std": 0.0}, {"mean": float("nan")}, {"domain": (1, 0)}, {"head": "soft"}]


@pytest.mark.parametrize("bad", BAD)
def test_impossible_settings_are_refused(bad: dict) -> None:
    with pytest.raises(UserError):
        Classifier(linear(2), **bad)


def test_frozen_restores_mixed_modes_even_after_an_error() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    model = Classifier(net).train()
    net[1].eval()
    net[0].weight.requires_grad_(False)
    before = [m.training for m in model.modules()], [p.requires_grad for p in model.parameters()]

    def fail_while_frozen() -> None:
        with model.frozen():
            assert not any(m.training for m in model.modules())
            assert not any(p.requires_grad for p in model.parameters())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_while_frozen()
    assert ([m.training for m in model.modules()], [p.requires_grad for p in model.parameters()]) == before


def test_networks_that_return_more_than_logits() -> None:
    class Rich(nn.Module):
        def __init__(self, kind: str) -> None:
            super().__init__()
            self.body, self.kind = linear(2), kind

        def forward(self, x):
            out = self.body(x)
            return {"dict": {"logits": out}, "tuple": (out, None), "list": []}[self.kind]

    x = torch.rand(2, 3, 2, 2)
    torch.testing.assert_close(Classifier(Rich("dict"))(x), Classifier(Rich("tuple"))(x))
    with pytest.raises(UserError, match="returns a list"):
        Classifier(Rich("list"))(x)
