"""Bounds of the answers on a ball: equal to closed forms, never wrong, and refused in words where there are none."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from medrobust.attacks import pgd, restarts
from medrobust.models import Classifier
from medrobust.models.bounds import Bounds, NoCertificateError
from medrobust.models.fold import fold_batch_norm
from medrobust.norms import NORMS
from medrobust.threat import Threat
from models.bounded_nets import NETS, SIDE, classifier

DUAL = {"linf": 1, "l2": 2, "l1": float("inf")}
SHAPES = {"signal": (2, 12), "image": (3, 4, 4), "volume": (1, 3, 4, 4)}


def margins(model: Classifier, x: Tensor, labels: Tensor) -> Tensor:
    """(n,) z_label less the largest other logit, by a double-precision loop."""
    with torch.no_grad():
        z = model(x).double()
    rows = zip(z, labels, strict=True)
    return torch.stack([row[y] - max(row[j] for j in range(len(row)) if j != y) for row, y in rows])


@pytest.mark.parametrize("norm", DUAL)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
# Classes behind a convolution are compared by their intervals, which is less than exact.
@pytest.mark.parametrize(("first", "outputs"), [("linear", 1), ("linear", 2), ("linear", 5), ("convolution", 1)])
def test_of_a_linear_network_the_bound_is_the_closed_form(
    norm: str, shape: tuple[int, ...], outputs: int, first: str
) -> None:
    """The margin of two classes falls by epsilon times the dual norm of the difference of their weights, no more."""
    channels, dim = shape[0], torch.Size(shape).numel()
    if first == "linear":
        net: nn.Module = nn.Sequential(nn.Flatten(), nn.Linear(dim, outputs))
    else:  # one kernel as large as the image
        kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(shape) - 2]
        net = nn.Sequential(kind(channels, outputs, shape[1:]), nn.Flatten())
    layer = net[1] if first == "linear" else net[0]
    k, std = max(outputs, 2), torch.linspace(0.2, 0.5, channels)
    head = "one_logit" if outputs == 1 else "softmax"
    model = Classifier(
        net, mean=[0.5] * channels, std=std.tolist(), channels=channels, head=head, classes=list("abcde")[:k]
    )
    x = 0.3 + 0.4 * torch.rand(6, *shape)
    labels = torch.arange(6) % k
    scale = (1 / std.double()).reshape(-1, *[1] * (len(shape) - 1)).expand(shape).flatten()
    w = layer.weight.detach().double().flatten(1) * scale
    z = (x.double() - 0.5).flatten(1) @ w.T + layer.bias.detach().double()
    if outputs == 1:
        w, z = torch.cat([0 * w, w]), torch.cat([0 * z, z], 1)
    for epsilon in (0.0, 0.01, 0.2):
        found = Bounds(model).margins(x, labels, epsilon, norm)
        wanted = [
            min(float(z[i, y] - z[i, j] - epsilon * (w[y] - w[j]).norm(DUAL[norm])) for j in range(k) if j != y)
            for i, y in enumerate(labels.tolist())
        ]
        assert torch.allclose(found, torch.tensor(wanted, dtype=torch.float64), atol=1e-6, rtol=0)  # std is float32


def test_a_pixel_at_the_edge_of_the_domain_cannot_leave_it() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    nn.init.constant_(net[1].weight, 1.0)
    nn.init.constant_(net[1].bias, -0.5)
    model = Classifier(net, channels=1, head="one_logit", classes=("a", "b"))
    x = torch.tensor([0.0, 0.0, 0.75, 1.0]).reshape(1, 1, 2, 2)
    # Three pixels can fall: by 0, 0, 0.25 and 0.25 of linf; only 0.25 of the third and fourth is left to l2 and l1.
    assert Bounds(model).margins(x, torch.tensor([1]), 0.25, "linf").item() == pytest.approx(1.25 - 0.5)
    assert Bounds(model).margins(x, torch.tensor([0]), 0.25, "linf").item() == pytest.approx(-1.25 - 0.75)
    assert Bounds(model).margins(x, torch.tensor([0]), 0.75, "l2").item() == pytest.approx(-1.25 - 0.75 * 2)


def test_a_grey_image_that_is_repeated_moves_in_all_channels_at_once() -> None:
    """The weights of the three copies may cancel; as three free channels they could not."""
    net = nn.Sequential(nn.Conv2d(3, 1, 2), nn.Flatten())
    model = Classifier(net, mean=[0.1, 0.2, 0.3], std=[0.2, 0.3, 0.4], channels=3, head="one_logit", classes=("a", "b"))
    x = 0.3 + 0.4 * torch.rand(2, 1, 2, 2)
    own = (net[0].weight.detach() / torch.tensor([0.2, 0.3, 0.4]).reshape(1, 3, 1, 1)).sum(1).flatten().double()
    for norm, order in DUAL.items():
        found = Bounds(model).margins(x, torch.tensor([1, 1]), 0.1, norm)
        z = model(x)[:, 1].detach().double()
        assert torch.allclose(found, z - 0.1 * own.norm(order), atol=1e-5), norm


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("norm", DUAL)
@settings(max_examples=12)
@given(seed=st.integers(0, 2**20), size=st.floats(1e-3, 0.5))
def test_no_image_of_the_ball_has_a_smaller_margin_than_the_bound(name: str, norm: str, seed: int, size: float) -> None:
    model = classifier(name, seed % 5)
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(3, 1, SIDE, SIDE, generator=generator)
    radius = {"linf": size, "l2": 3 * size, "l1": 10 * size}[norm]
    labels = torch.tensor([0, 1, 2])
    found = Bounds(model).margins(x, labels, radius, norm)
    many = x.repeat(12, 1, 1, 1)
    d = torch.randn(many.shape, generator=generator, dtype=torch.float64)
    d = d.sign() if norm == "linf" else d * (torch.rand(many.shape, generator=generator) < 0.2)
    d = NORMS[norm].project(1e3 * d, torch.full((len(many),), radius, dtype=torch.float64))
    inside = (many.double() + d).clamp(0, 1).float()
    seen = margins(model, inside, labels.repeat(12))
    assert bool((seen >= (found - 1e-4 * (1 + found.abs())).repeat(12)).all())


@pytest.mark.parametrize("name", NETS)
def test_bounds_of_a_point_are_the_answer_and_widen_with_the_budget(name: str) -> None:
    model, x, labels = classifier(name), torch.rand(4, 1, SIDE, SIDE), torch.tensor([0, 1, 2, 0])
    bounds = Bounds(model)
    if name != "smooth":  # its logits are known up to a constant only
        assert torch.allclose(bounds.margins(x, labels, 0.0, "linf"), margins(model, x, labels), atol=1e-4)
    for norm in DUAL:
        steps = [bounds.margins(x, labels, e, norm) for e in (0.0, 1e-3, 0.01, 0.1, 1.0)]
        assert all(bool((a >= b - 1e-12).all()) for a, b in pairwise(steps))
        assert bool((steps[0] > steps[2]).all())


def test_each_image_has_its_own_budget() -> None:
    bounds, x = Bounds(classifier("pools")), torch.rand(3, 1, SIDE, SIDE)
    labels, radius = torch.tensor([0, 1, 2]), torch.tensor([0.0, 0.01, 0.1])
    for norm in DUAL:
        together = bounds.margins(x, labels, radius, norm)
        alone = [bounds.margins(x[i : i + 1], labels[i : i + 1], float(radius[i]), norm) for i in range(3)]
        assert torch.allclose(together, torch.cat(alone), atol=1e-6)


@pytest.mark.parametrize("name", ["residual", "pools", "drop_max"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_no_attack_succeeds_where_the_bound_holds(name: str, norm: str) -> None:
    """Each image at the largest budget at which its bound holds, and many starts."""
    model, x = classifier(name, 1), torch.rand(24, 1, SIDE, SIDE)
    labels = model(x).argmax(1)
    bounds, low, high = Bounds(model), torch.zeros(24), torch.full((24,), 8.0)
    for _ in range(20):
        middle = (low + high) / 2
        holds = bounds.margins(x, labels, middle, norm) > 1e-4
        low, high = torch.where(holds, middle, low), torch.where(holds, high, middle)
    assert bool((low > 1e-4).sum() > 12)
    attack = restarts(pgd(num_steps=20), 5)
    x_adv = attack(model, x, labels, Threat(low.float(), norm=norm))
    assert bool((model(x_adv).argmax(1) == labels).all())
    beyond = attack(model, x, labels, Threat((50 * low.float()).clamp(max=1.0), norm=norm))
    assert bool((model(beyond).argmax(1) != labels).any())  # the attack can win


def test_batch_norm_and_its_folded_form_have_the_same_bounds() -> None:
    model, x = classifier("drop_max"), torch.rand(4, 1, SIDE, SIDE)
    folded = Classifier(fold_batch_norm(model.network), mean=0.4, std=0.3, channels=1, classes=model.classes).eval()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.network.modules())
    labels = torch.tensor([0, 1, 2, 0])
    for norm in ("linf", "l2"):
        one, two = (Bounds(m).margins(x, labels, 0.02, norm) for m in (model, folded))
        # On l2 the fold is in the first layer, which is exact either way.
        assert torch.allclose(one, two, atol=1e-5)


def test_the_order_of_the_classes_is_that_of_the_classifier() -> None:
    for net, head in ((nn.Linear(4, 2), "softmax"), (nn.Linear(4, 1), "one_logit")):
        model = Classifier(nn.Sequential(nn.Flatten(), net), channels=1, head=head, classes=("a", "b"))
        x, labels = torch.rand(3, 1, 2, 2), torch.tensor([0, 1, 0])
        other = model.in_order(("b", "a"))
        assert torch.equal(
            Bounds(other).margins(x, 1 - labels, 0.1, "linf"), Bounds(model).margins(x, labels, 0.1, "linf")
        )


def test_a_last_softmax_or_sigmoid_is_looked_through() -> None:
    layer = nn.Linear(4, 1)
    x, labels = torch.rand(3, 1, 2, 2), torch.tensor([0, 1, 0])
    logit = Classifier(nn.Sequential(nn.Flatten(), layer), channels=1, head="one_logit", classes=("a", "b"))
    seen = Classifier(
        nn.Sequential(nn.Flatten(), layer, nn.Sigmoid()), channels=1, head="probabilities", classes=("a", "b")
    )
    assert torch.equal(Bounds(seen).margins(x, labels, 0.1, "linf"), Bounds(logit).margins(x, labels, 0.1, "linf"))
    # Of a network whose sigmoid is said to give logits, the answer is always class 1.
    wrong = Classifier(
        nn.Sequential(nn.Flatten(), layer, nn.Sigmoid()), channels=1, head="one_logit", classes=("a", "b")
    )
    found = Bounds(wrong).margins(x, torch.tensor([0, 1, 1]), 0.1, "linf")
    assert found[0] < 0 < found[1:].min()


class Hidden(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(x.numpy()).flatten(1)[:, :2]


REFUSED = {
    "gelu at 1 (GELU) is not bounded": nn.Sequential(nn.Flatten(), nn.GELU(), nn.Linear(4, 2)),
    "native_layer_norm at 1 (LayerNorm) is not bounded": nn.Sequential(nn.Flatten(), nn.LayerNorm(4), nn.Linear(4, 2)),
    "_softmax at 0 (Softmax) is not bounded": nn.Sequential(nn.Softmax(1), nn.Flatten(), nn.Linear(4, 2)),
    "does not take bounds": Hidden(),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_not_bounded_is_said(words: str) -> None:
    model = Classifier(REFUSED[words], channels=1, classes=("a", "b")).eval()
    with pytest.raises(NoCertificateError) as caught:
        Bounds(model).margins(torch.rand(2, 1, 2, 2), torch.tensor([0, 1]), 0.1, "linf")
    assert words in str(caught.value)


def test_several_labels_have_no_one_answer() -> None:
    model = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), channels=1, head="multi_label", classes=("a", "b"))
    with pytest.raises(NoCertificateError, match="several labels"):
        Bounds(model)


def test_the_classifier_itself_is_left_as_it_was() -> None:
    model = classifier("residual")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    Bounds(model).margins(torch.rand(2, 1, SIDE, SIDE), torch.tensor([0, 1]), 0.1, "linf")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert next(model.parameters()).dtype == torch.float32
    assert not any(module._forward_hooks for module in model.modules())


def test_an_exported_program_has_the_bounds_of_its_network() -> None:
    """What the rules see are PyTorch's own operations, however the layers around them are written."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
    x = torch.rand(3, 1, 8, 8)
    shapes = ({0: torch.export.Dim("batch", min=2)},)
    program = torch.export.export(net, (x,), dynamic_shapes=shapes).module()
    labels = net(x).argmax(1)
    own, same = (Bounds(Classifier(one, channels=1)).margins(x, labels, 1e-3, "linf") for one in (net, program))
    assert torch.allclose(own, same)
