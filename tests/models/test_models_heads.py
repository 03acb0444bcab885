"""What the attack sees is what the network computes: one network in many forms, and the same robust accuracy."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import medrobust as mr
from medrobust.errors import UserError
from medrobust.models import Classifier
from medrobust.models.wrap import as_classifier

BUDGETS = ["2/255", "6/255", "15/255"]
ATTACKS: dict[str, Any] = {
    "pgd": {"num_steps": 10},
    "apgd_ce": {"num_steps": 10},
    "square": {"num_queries": 60},
    # Probes long enough to be seen in float16, whose numbers are 1/4096 apart here.
    "hop_skip_jump": {"num_queries": 300, "share": 0.1},
}


class Form(nn.Module):
    """logits (0, z) of one trained network, times a scale, and what a last layer makes of them."""

    def __init__(self, scale: float, last: Callable[[Tensor], Any], module: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.scale, self.last = copy.deepcopy(trained()), scale, last
        self.module = module or nn.Identity()

    def forward(self, x: Tensor) -> Any:
        return self.module(self.last(self.scale * self.body(x)))


class InPlace(Form):
    def forward(self, x: Tensor) -> Tensor:
        x.sub_(0.25).add_(0.25)
        return both(self.scale * self.body(x))


class Half(Form):
    def __init__(self, scale: float) -> None:
        super().__init__(scale, both)
        self.half()


def both(z: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(z), z], 1)


def by_hand(z: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-z))


def pair(z: Tensor) -> Tensor:
    p = torch.sigmoid(z)
    return torch.cat([1 - p, p], 1)


def overwritten(z: Tensor) -> Tensor:
    return z.clone().sigmoid_()


FORMS: dict[str, Callable[[float], nn.Module]] = {
    "one logit": lambda s: Form(s, lambda z: z[:, 0]),
    "sigmoid": lambda s: Form(s, lambda z: z, nn.Sigmoid()),
    "softmax": lambda s: Form(s, both, nn.Softmax(1)),
    "functional sigmoid": lambda s: Form(s, F.sigmoid),
    "log-softmax": lambda s: Form(s, lambda z: F.log_softmax(both(z), 1)),
    "in place": lambda s: InPlace(s, both),
    "half": Half,
}
MORE: dict[str, Callable[[float], nn.Module]] = {
    "softmax, one column": lambda s: Form(s, lambda z: both(z).softmax(1)[:, 1]),
    "p and 1 - p": lambda s: Form(s, pair),
    "sigmoid by hand": lambda s: Form(s, by_hand),
    "sigmoid in place": lambda s: Form(s, overwritten),
    "log of softmax": lambda s: Form(s, lambda z: (both(z).softmax(1) + 1e-8).log()),
    "clamped": lambda s: Form(s, lambda z: z.sigmoid().clamp(1e-6, 1 - 1e-6)),
    "a tuple": lambda s: Form(s, lambda z: (both(z), z.expand(-1, 7))),
    "a mapping": lambda s: Form(s, lambda z: {"features": z.expand(-1, 2), "prob": z.sigmoid()}),
    "squeezed": lambda s: Form(s, lambda z: both(z).squeeze()),
    "double": lambda s: Form(s, both).double(),
    "several devices": lambda s: nn.DataParallel(Form(s, both)),
    "percent": lambda s: Form(s, lambda z: 100 * z.sigmoid()),
    "ensemble": lambda s: Form(s, lambda z: torch.stack([both(z).softmax(1)] * 3).mean(0)),
}


@cache
def trained() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(128, 1),
        )
        x, y = squares(64)
        optimizer = torch.optim.Adam(net.parameters(), 0.02)
        for _ in range(40):
            optimizer.zero_grad()
            F.binary_cross_entropy_with_logits(net(x)[:, 0], y.float()).backward()
            optimizer.step()
    return net.eval()


def squares(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Noise, half of them with a square in the middle that is 0.08 brighter."""
    x = 0.3 + 0.3 * torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    y = torch.arange(n) % 2
    x[y == 1, :, 2:6, 2:6] += 0.08
    return x, y


@cache
def robust(form: str, scale: float) -> dict[str, list[int]]:
    """Images that stand, by attack and budget."""
    make = {"logits": lambda s: Form(s, both), **FORMS, **MORE}[form]
    x, y = squares(24, seed=1)
    records = mr.measure(make(scale), mr.ImageSet.of(x, y), ATTACKS, linf=BUDGETS, precision="float32")
    right = records.clean["clean_prediction"] == records.clean["label"]
    return {
        attack: (~records.matrix(attack, norm, "reached")[1].astype(bool) & right[:, None]).sum(0).tolist()
        for attack, norm in records.cells
    }


def differences(form: str, scale: float) -> int:
    """The most images by which a form and the logits differ, over attacks and budgets."""
    theirs, ours = robust(form, scale), robust("logits", scale)
    return max(abs(a - b) for attack in ATTACKS for a, b in zip(theirs[attack], ours[attack], strict=True))


@pytest.mark.parametrize("scale", [1.0, 50.0])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_network_is_as_robust_as_its_logits(form: str, scale: float) -> None:
    assert differences(form, scale) <= (1 if form == "half" else 0)


@pytest.mark.parametrize("form", MORE)
def test_more_forms_that_saturate(form: str) -> None:
    assert differences(form, 50.0) == 0


def test_the_attacks_do_something_here_and_saturation_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    stands = robust("logits", 50.0)["pgd"]
    assert 20 >= stands[0] > stands[1] > stands[2]
    monkeypatch.setattr("medrobust.models.heads.behind", lambda *args, **kwargs: None)
    assert robust.__wrapped__("sigmoid", 50.0)["apgd_ce"][2] > robust("logits", 50.0)["apgd_ce"][2] + 4


class Unseen(nn.Module):
    """A sigmoid that torch is not asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(1 / (1 + (-self.body(x).detach()).exp().numpy()))


class HandMade(nn.Module):
    """A sigmoid of operations that are not followed, with a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * (1 + torch.tanh(self.body(x) / 2))


def test_probabilities_that_cannot_be_seen_are_inverted_and_said() -> None:
    x, net = torch.rand(5, 1, 2, 2), HandMade()
    with pytest.raises(UserError, match=r"may be a probability or a logit.*model\.head=probabilities"):
        as_classifier(net, x)
    model = Classifier(net, head="probabilities", channels=1)
    assert model.head_note == ""
    torch.testing.assert_close(model(x)[:, 1:], net.body(x), atol=1e-5, rtol=1e-5)
    assert "computed back" in model.head_note
    seen = Classifier(nn.Sequential(net.body, nn.Sigmoid()), head="probabilities", channels=1)
    assert torch.equal(seen(x)[:, 1:], net.body(x))
    assert seen.head_note == ""


def test_the_inverse_keeps_the_order_of_all_probabilities() -> None:
    one = 1 - torch.finfo(torch.float32).eps / 2
    for columns in ([[0.0], [1e-45], [1e-20], [0.5], [one], [1.0]],):
        p = torch.tensor(columns)
        logits = Classifier(nn.Flatten(), head="probabilities", channels=1)(p[:, None, None])[:, 1]
        assert bool((logits.diff() > 0).all())
        assert bool(logits.isfinite().all())


@pytest.mark.parametrize("kind", ["script", "trace"])
@pytest.mark.filterwarnings("ignore")
def test_torchscript_in_memory_is_inverted(kind: str) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 1), nn.Sigmoid()).eval()
    x = torch.rand(3, 1, 2, 2)
    model = as_classifier(torch.jit.script(net) if kind == "script" else torch.jit.trace(net, x), x)
    assert model.head == "probabilities"
    torch.testing.assert_close(model(x)[:, 1], net[:2](x)[:, 0], atol=1e-5, rtol=1e-4)
    assert model.head_note


def test_what_looks_like_a_probability_and_is_a_logit_is_one() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    nn.init.constant_(net[1].weight, 0.1)
    nn.init.constant_(net[1].bias, 0.3)
    assert as_classifier(net, torch.rand(3, 1, 2, 2)).head == "one_logit"
    late = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 1))
    assert as_classifier(late, torch.rand(3, 1, 2, 2)).head == "one_logit"


def test_outputs_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(UserError, match="are no probabilities"):
        Classifier(nn.Flatten(), head="probabilities", channels=1)(3 * torch.ones(2, 1, 1, 2))


@pytest.mark.parametrize("last", [nn.Identity(), nn.Sigmoid()])
def test_several_labels_are_decided_at_one_half(last: nn.Module) -> None:
    body = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    x = torch.rand(6, 1, 2, 2)
    model = Classifier(nn.Sequential(body, last), head="multi_label", channels=1)
    assert torch.equal(model(x), body(x))


def test_auto_sees_a_last_sigmoid() -> None:
    body = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    x = torch.rand(6, 1, 2, 2)
    for last in (nn.Identity(), nn.Sigmoid()):
        model = Classifier(nn.Sequential(body, last), head="auto", channels=1)
        assert torch.equal(model(x)[:, 1:], body(x))


def test_no_answer_is_made_up_where_a_network_gives_nan() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Softmax(1))
    z = torch.tensor([[float("nan"), 0.0], [1.0, 2.0]])[:, None, None]
    found = Classifier(net, head="probabilities", channels=1)(z)
    assert found.isnan().any(1).tolist() == [True, False]


def test_the_input_of_a_sigmoid_that_is_overwritten_later_is_not_trusted() -> None:
    class Overwrites(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            z = x.flatten(1).clone()
            p = z.sigmoid()
            z.add_(5)
            return p

    x = torch.randn(3, 1, 1, 1)
    model = Classifier(Overwrites(), head="probabilities", channels=1)
    torch.testing.assert_close(model(x)[:, 1], x.flatten(), atol=1e-5, rtol=1e-5)


def test_gradients_of_float16_do_not_vanish() -> None:
    body = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).half()
    x = torch.rand(3, 1, 2, 2, requires_grad=True)
    loss = 1e-9 * Classifier(body, channels=1).eval()(x)[:, 1].sum()
    (grad,) = torch.autograd.grad(loss, x)
    torch.testing.assert_close(grad.flatten(1), 1e-9 * body[1].weight[1].float().expand(3, -1), rtol=1e-3, atol=0)
    assert grad.dtype == torch.float32


def test_the_images_of_the_caller_are_never_written_into() -> None:
    class Writes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sub_(0.5).mul_(2).flatten(1)

    x = torch.rand(3, 1, 1, 2)
    before = x.clone()
    expected = (2 * (x - 0.5)).flatten(1)
    assert torch.equal(Classifier(Writes(), channels=1)(x), expected)
    assert torch.equal(Classifier(Writes(), channels=3)(x), expected.repeat(1, 3))
    assert torch.equal(x, before)
    grad = torch.autograd.grad(Classifier(Writes(), channels=1)(x.requires_grad_())[:, 0].sum(), x)[0]
    assert grad.flatten().tolist() == [2, 0] * 3


def test_a_gradient_that_is_not_there_is_one_line() -> None:
    x = torch.rand(3, 1, 2, 2)
    model = Classifier(Unseen(), head="probabilities", channels=1)
    assert model(x).shape == (3, 2)
    with pytest.raises(UserError, match=r"no gradient.*square, hop_skip_jump"):
        model(x.requires_grad_())
