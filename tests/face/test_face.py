"""The public face on plain networks and images in memory: what the first lines of `import medrobust` promise."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import medrobust as mr
from face.toys import SIDE, network, pictures
from medrobust.data.images.arrays import FLOAT
from medrobust.norms import NORMS


@pytest.fixture
def x() -> Tensor:
    return pictures(12)[0]


@pytest.fixture
def y() -> Tensor:
    return pictures(12)[1]


def test_attack_a_tensor(x: Tensor, y: Tensor) -> None:
    net = network()
    x_adv = mr.attacks.pgd()(net, x, y, mr.Threat("4/255"))
    assert x_adv.shape == x.shape
    assert float((x_adv - x).abs().max()) <= 4 / 255 + 1e-6
    assert bool(((x_adv >= 0) & (x_adv <= 1)).all())
    loss = nn.functional.cross_entropy
    with torch.no_grad():
        assert float(loss(net(x_adv), y)) > float(loss(net(x), y))
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize(("text", "epsilon"), [("4/255", 4 / 255), ("2%", 0.02), (0.03, 0.03)])
def test_budgets_and_norms_as_people_write_them(x: Tensor, y: Tensor, norm: str, text, epsilon: float) -> None:
    x_adv = mr.attacks.pgd(num_steps=5)(network(), x, y, mr.Threat(text, norm))
    size = NORMS[norm].size((x_adv - x).double())
    assert float(size.max()) <= epsilon * (1 + 1e-4)
    assert float(size.max()) > 0.9 * epsilon


def test_measure_and_look_at_the_rows(x: Tensor, y: Tensor) -> None:
    images = mr.ImageSet.of(x, y, classes=["benign", "malignant"])
    records = mr.measure(network(), images, ["pgd", mr.attacks.apgd_ce(num_steps=5)], linf=["1/255", "40/255"])
    assert len(records) == 12 * (1 + 2 * 2)
    assert [attack for attack, _ in records.cells] == ["pgd", "attack_2"]
    curve = records.worst_case("linf")
    assert curve.epsilons.tolist() == [1 / 255, 40 / 255]
    accuracy = [estimate.value for estimate in curve.estimates()]
    assert accuracy[0] >= accuracy[1]
    pytest.importorskip("pandas")
    frame = records.to_pandas()
    assert frame[frame.attack == "clean"].shape[0] == 12


def test_audit_writes_a_report(x: Tensor, y: Tensor, tmp_path: Path) -> None:
    run = mr.audit(network(), mr.ImageSet.of(x, y), ["fgsm"], linf="8/255", out=tmp_path / "audit")
    assert run.report.read_text().lower().startswith("<!doctype html>")
    assert len(run.worst_case) == 1
    assert run.content["model"]["name"] == "python:Sequential"
    assert {finding.id for finding in run.findings} >= {"deterministic", "reach", "data-counts"}


def test_an_objective_in_a_loop_of_ones_own(x: Tensor, y: Tensor) -> None:
    net = network()
    objective = mr.objectives.trades(mr.Threat("4/255"))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    losses = []
    for _ in range(6):
        for start in range(0, 12, 4):
            at = torch.arange(start, start + 4)
            loss = objective(net, mr.Batch(x[at], y[at], at))
            optimizer.zero_grad()
            loss.total.backward()
            optimizer.step()
        objective.end_epoch()
        losses.append(float(loss.total.detach()))
    assert losses[-1] < losses[0]
    assert net.training


def heads() -> dict[str, nn.Module]:
    """One network with heads that say the same."""
    body = network(outputs=1)

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, x: Tensor) -> Tensor:
            z = self.body(x)
            return torch.cat([torch.zeros_like(z), z], 1)

    flat = nn.Sequential(*body, nn.Flatten(0))
    return {"two logits": Two(), "sigmoid": nn.Sequential(body, nn.Sigmoid()), "one logit": body, "one number": flat}


@pytest.mark.parametrize("head", ["sigmoid", "one logit", "one number"])
def test_one_logit_and_sigmoid_are_two_classes(head: str, x: Tensor, y: Tensor) -> None:
    nets = heads()
    images = mr.ImageSet.of(x, y, classes=["benign", "malignant"])
    expected = mr.measure(nets["two logits"], images, ["fgsm", "pgd"], linf=["2/255", "20/255"])
    found = mr.measure(nets[head], images, ["fgsm", "pgd"], linf=["2/255", "20/255"])
    with torch.no_grad():
        positive = (nets["one logit"].eval()(x)[:, 0] > 0).long().tolist()
    assert found.clean["prediction"].tolist() == positive
    assert found["prediction"].tolist() == expected["prediction"].tolist()
    # Without any attack the scores are one function of the pixels; under one, changes may differ by rounding.
    assert torch.allclose(torch.tensor(found.clean["scores"]), torch.tensor(expected.clean["scores"]), atol=1e-5)


def test_floating_point_images_are_not_rounded() -> None:
    """The distance to the boundary of a linear model is that of the pixels given, not of their grey levels."""
    torch.manual_seed(3)
    x = 0.3 + 0.4 * torch.rand(10, 1, SIDE, SIDE)
    net = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 2))
    with torch.no_grad():
        net[1].bias.copy_(-net[1].weight.sum(1) * 0.5)
        y = net(x).argmax(1)
    images = mr.ImageSet.of(x, y)
    assert images.source(0) == FLOAT
    assert torch.equal(images.batch(range(10)).x, x)
    records = mr.measure(net, images, {"smallest": mr.attacks.smallest()}, linf=0.3)
    weight, bias = (p.detach().double() for p in net[1].parameters())
    w, b = weight[1] - weight[0], bias[1] - bias[0]

    def exact(pixels: Tensor) -> Tensor:
        return (pixels.flatten(1).double() @ w + b).abs() / w.abs().sum()

    distance = torch.tensor(records.where(attack="smallest")["distance"])
    assert torch.allclose(distance, exact(x), rtol=2e-3, atol=0)
    rounded = exact((x * 255).round() / 255)
    assert float(((distance - rounded) / distance).abs().max()) > 0.02, "grey levels would give another distance"


def test_the_network_given_stays_as_it_was(x: Tensor, y: Tensor) -> None:
    net = network().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    mr.measure(net, mr.ImageSet.of(x, y), ["pgd"], linf="4/255")
    assert net.training
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_classifier_says_its_normalization(x: Tensor, y: Tensor) -> None:
    """The network that wants normalized pixels, and one with the normalization in its first layer, are one."""
    inner = network()
    wrapped = mr.Classifier(inner, mean=0.5, std=0.25, channels=1, classes=("0", "1"))

    class Normalizes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            return self.inner((x - 0.5) / 0.25)

    one, two = (mr.measure(net, mr.ImageSet.of(x, y), ["pgd"], linf="4/255") for net in (wrapped, Normalizes()))
    assert one["prediction"].tolist() == two["prediction"].tolist()
    assert torch.allclose(torch.tensor(one.clean["scores"]), torch.tensor(two.clean["scores"]), atol=1e-5)


def test_a_network_of_timm() -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    net = timm.create_model("test_resnet", pretrained=False, num_classes=2, in_chans=3)
    x, y = torch.rand(4, 3, 32, 32), torch.arange(4) % 2
    records = mr.measure(net, mr.ImageSet.of(x, y), ["fgsm"], linf="2/255", batch_size=2)
    with torch.no_grad():
        assert records.clean["prediction"].tolist() == net.eval()(x).argmax(1).tolist()
    assert not (records["scores"] < 0).any()
