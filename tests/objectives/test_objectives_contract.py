"""Every objective of ours through the checks that others can use, and its gradient against finite differences."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from medrobust.attacks import pgd
from medrobust.errors import UserError
from medrobust.models import Classifier
from medrobust.norms import L2
from medrobust.objectives import OBJECTIVES, Awp, Clean, TrainingLoss, TrainingObjective, make_objective
from medrobust.testing.objectives import check_objective, slope_error, smooth_toy
from medrobust.threat import Threat

OPTIONS = {
    "adversarial half clean": ("adversarial", {"clean_weight": 0.5}),
    "amat crossing": ("amat", {"crossing": True}),
    "dpaat as printed": ("dpaat", {"as_printed": True}),
    "dpaat regenerate": ("dpaat", {"regenerate": True}),
    "fast fgsm_rs": ("fast", {"kind": "fgsm_rs"}),
    "fast grad_align": ("fast", {"kind": "grad_align"}),
    "semi_rst consistency": ("semi_rst", {"unlabeled_loss": "consistency"}),
    # SimCLR needs the model when it is made: see test_objectives_simclr.
    **{name: (name, {}) for name in OBJECTIVES if name != "simclr"},
}


def build(name: str, threat: Threat | None = None) -> TrainingObjective:
    kind, options = OPTIONS[name]
    attack = pgd(num_steps=10, relative_step_size=0.2)
    return make_objective(kind, options, threat=threat or Threat(epsilon=0.1), attack=attack, num_images=6, seed=1)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_contract(name: str, norm: str) -> None:
    threat = Threat(epsilon=0.1) if norm == "linf" else Threat(epsilon=0.5, norm=L2())
    check_objective(build(name, threat), *smooth_toy(torch.float32))


@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_against_finite_differences(name: str) -> None:
    assert slope_error(build(name), *smooth_toy()) < 1e-6


@pytest.mark.parametrize("name", OPTIONS)
def test_two_classes(name: str) -> None:
    model, batch = smooth_toy(torch.float32, num_classes=2)
    assert torch.isfinite(build(name)(model, batch).total)


def test_awp_keeps_the_contract() -> None:
    check_objective(Awp(build("trades")), *smooth_toy(torch.float32))


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "free"])
def test_every_objective_takes_awp_from_its_options(name: str) -> None:
    kind, options = OPTIONS[name]
    setting = {"threat": Threat(epsilon=0.1), "attack": pgd(num_steps=10, relative_step_size=0.2), "num_images": 6}
    made = make_objective(kind, {**options, "awp": {"gamma": 0.02}}, **setting, seed=1)
    assert isinstance(made, Awp)
    assert (made.gamma, made.robust) == (0.02, made.objective.robust)
    model, batch = smooth_toy()
    moved, still = made(model, batch).total, build(name)(*smooth_toy()).total
    assert moved > still


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"gama": 1}, "did you mean 'gamma'"),
        ({"gamma": -1}, "gamma must be 0"),
        ("much", "objective.awp"),
    ],
)
def test_bad_awp_options(given: object, says: str) -> None:
    with pytest.raises(UserError, match=f"(?i){says}"):
        make_objective("clean", {"awp": given}, seed=0)


def test_awp_and_replays_exclude_each_other() -> None:
    with pytest.raises(UserError, match="while a batch is replayed"):
        make_objective("free", {"awp": True}, threat=Threat(epsilon=0.1), seed=0)
    assert not isinstance(make_objective("clean", {"awp": False}, seed=0), Awp)
    assert make_objective("clean", {"awp": 0.03}, seed=0).gamma == 0.03


class Forgetful(Clean):
    """Remembers something outside its state."""

    calls = 0

    def search(self, model: Classifier, batch):
        self.calls += 1
        return torch.tensor([self.calls])


class Careless(Clean):
    def search(self, model: Classifier, batch):
        model.eval()


class Detached(Clean):
    def loss(self, model, batch, found):
        loss = super().loss(model, batch, found)
        return TrainingLoss(loss.total + model.network[-1].bias.sum() * 0 - loss.total + 1, loss.parts)


@pytest.mark.parametrize(("make", "says"), [(Forgetful, "state_dict does not hold"), (Careless, "evaluation mode")])
def test_the_checks_can_fail(make: Callable[[], TrainingObjective], says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_objective(make(), *smooth_toy(torch.float32))


def test_finite_differences_can_fail() -> None:
    class Wrong(Clean):
        def loss(self, model, batch, found):
            loss = super().loss(model, batch, found)
            return TrainingLoss(loss.total * loss.total.detach(), loss.parts)

    assert slope_error(Wrong(), *smooth_toy()) > 0.1
