"""One trained network in eight forms: what an attack sees is what the network computes, so the numbers are equal."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import medrobust as mr
from medrobust.data import ImageSet, View, open_images
from medrobust.models import load_checkpoint
from medrobust.models.wrap import as_classifier
from medrobust.resolve import BUNDLED

NUM_IMAGES = 12
BUDGETS = ["1/255", "3/255"]


class Form(nn.Module):
    """The bundled network with its normalization, and something behind its two logits."""

    def __init__(self, behind: Any = None, in_place: bool = False) -> None:
        super().__init__()
        bundled = load_checkpoint(BUNDLED)
        self.network, self.behind, self.in_place = copy.deepcopy(bundled.network), behind or (lambda z: z), in_place
        self.mean, self.std = float(bundled.mean), float(bundled.std)

    def forward(self, x: Tensor) -> Tensor:
        if self.in_place:
            x.sub_(self.mean).div_(self.std)
        else:
            x = (x - self.mean) / self.std
        return self.behind(self.network(x))


def of_class_one(z: Tensor) -> Tensor:
    """(n, 1) the logit of class 1 against class 0."""
    return z[:, 1:] - z[:, :1]


class Sigmoid(Form):
    """A sigmoid that is a module."""

    def __init__(self) -> None:
        super().__init__(of_class_one)
        self.last = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(super().forward(x))


class Softmax(Form):
    """A softmax that is a module."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Softmax(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(super().forward(x))


class Half(Form):
    """All weights and numbers in float16."""

    def __init__(self) -> None:
        super().__init__()
        self.half()


FORMS: dict[str, Any] = {
    "logits": Form,
    "one logit": lambda: Form(of_class_one),
    "sigmoid": Sigmoid,
    "softmax": Softmax,
    "functional sigmoid": lambda: Form(lambda z: torch.sigmoid(of_class_one(z)).squeeze(1)),
    "log-softmax": lambda: Form(lambda z: nn.functional.log_softmax(z, 1)),
    "in place": lambda: Form(in_place=True),
    "half": Half,
}


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return open_images("phantom:ultrasound@64,seed=0", view=View(color="grey"), split="test", limit=NUM_IMAGES)


def attacks() -> dict[str, Any]:
    return {
        "fgsm": mr.attacks.fgsm(),
        "pgd": mr.attacks.pgd(num_steps=10),
        "smallest": mr.attacks.smallest(),
        "square": mr.attacks.square(num_queries=60),
    }


def robust(form: str, images: ImageSet) -> dict[str, np.ndarray]:
    """Attack -> (n, budgets) bool: which images are right."""
    records = mr.measure(FORMS[form]().eval(), images, attacks(), linf=BUDGETS, batch_size=NUM_IMAGES)
    return {curve.attack: curve.envelope for curve in records.curves("linf")}


@pytest.fixture(scope="module")
def plain(images: ImageSet) -> dict[str, np.ndarray]:
    return robust("logits", images)


@pytest.mark.parametrize("form", [name for name in FORMS if name != "logits"])
def test_each_form_has_the_robust_accuracy_of_the_logits(form: str, images: ImageSet, plain) -> None:
    found = robust(form, images)
    assert plain["pgd"].mean(0)[-1] < 0.3 < 0.8 < plain["pgd"].mean(0)[0], "the budgets tell nothing"
    for attack, envelope in plain.items():
        # Rounding may decide one image at one budget.
        gap = np.abs(found[attack].mean(0) - envelope.mean(0))
        assert gap.max() <= 1 / NUM_IMAGES + 1e-9, f"{attack}: {found[attack].mean(0)} instead of {envelope.mean(0)}"


@pytest.mark.parametrize("form", FORMS)
def test_each_form_has_the_logits_and_gradients_of_the_network(form: str, images: ImageSet) -> None:
    x = images.batch(range(8)).x
    model = as_classifier(FORMS[form]().eval(), x, images.classes)
    truth = Form().eval()
    at, mine = x.clone().requires_grad_(), x.clone().requires_grad_()
    want, have = of_class_one(truth(at)), of_class_one(model(mine))
    tolerance = 2e-2 if form == "half" else 1e-4
    torch.testing.assert_close(have, want, rtol=tolerance, atol=tolerance)
    (a,), (b,) = torch.autograd.grad(want.sum(), at), torch.autograd.grad(have.sum(), mine)
    size = a.flatten(1).norm(dim=1)
    assert bool(((b - a).flatten(1).norm(dim=1) <= 5 * tolerance * size).all())
    assert model.head_note == ""
