import copy
import dataclasses

import pytest
import torch
from torch import Tensor, nn

from medrobust.attacks import pgd
from medrobust.data import Batch
from medrobust.models import Classifier
from medrobust.objectives import Adversarial, Clean, Constant, EpsilonRule, TrainingObjective, WarmUp
from medrobust.testing.objectives import smooth_toy
from medrobust.threat import Threat


@pytest.fixture
def model() -> Classifier:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    return Classifier(net, channels=1, mean=0.5, std=0.25)


@pytest.fixture
def batch() -> Batch:
    torch.manual_seed(1)
    return Batch(torch.rand(8, 1, 6, 6), torch.randint(0, 3, (8,)), torch.arange(10, 18))


def loss_of(objective: TrainingObjective, model: Classifier, batch: Batch) -> Tensor:
    """On a copy: a loss in training mode moves the running statistics."""
    return objective(copy.deepcopy(model), batch).total


def test_no_budget_is_clean_training(model: Classifier, batch: Batch) -> None:
    clean = loss_of(Clean(), model, batch)
    for objective in (Adversarial(Threat(epsilon=0.0)), Adversarial(Threat(epsilon=0.3), clean_weight=1.0)):
        assert torch.equal(loss_of(objective, model, batch), clean)


def test_clean_weight_mixes_the_two_losses() -> None:
    model, batch = smooth_toy()
    clean = Clean()(model, batch).total
    full, half = (Adversarial(Threat(epsilon=0.1), clean_weight=w)(model, batch).total for w in (0.0, 0.5))
    assert full > clean
    torch.testing.assert_close(half, (full + clean) / 2)


def test_clean_and_adversarial_images_share_one_pass(model: Classifier, batch: Batch) -> None:
    sizes = []
    model.train().network[0].register_forward_hook(lambda _, args, __: sizes.append(len(args[0])))
    objective = Adversarial(Threat(epsilon=0.1), clean_weight=0.5)
    objective.loss(model, batch, batch.x)
    assert sizes == [16]


def test_a_constant_rule_is_a_number(model: Classifier, batch: Batch) -> None:
    number = loss_of(Adversarial(Threat(epsilon=0.1)), model, batch)
    rule = loss_of(Adversarial(Threat(), epsilon=Constant(0.1)), model, batch)
    assert torch.equal(number, rule)


def test_each_image_has_its_own_budget(model: Classifier, batch: Batch) -> None:
    class ByPosition(EpsilonRule):
        def forward(self, index: Tensor) -> Tensor:
            return (index - 10) / 50

    x_adv = Adversarial(Threat(), epsilon=ByPosition()).search(model, batch)
    change = (x_adv - batch.x).flatten(1).abs().amax(1)
    torch.testing.assert_close(change, torch.arange(8) / 50)


def test_the_search_leaves_the_model_as_it_was(model: Classifier, batch: Batch) -> None:
    model.train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    x_adv = Adversarial(Threat(epsilon=0.1)).search(model, batch)
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert not x_adv.requires_grad


def test_the_attack_sees_evaluation_mode(batch: Batch, model: Classifier) -> None:
    modes = []

    @dataclasses.dataclass(frozen=True)
    class Spy:
        def __call__(self, model, x, y, threat, *, generator=None):
            modes.extend(m.training for m in model.modules())
            return x

    model.train()
    Adversarial(Threat(epsilon=0.1), attack=Spy())(model, batch)
    assert modes
    assert not any(modes)


def test_random_starts_belong_to_seed_epoch_and_image(model: Classifier, batch: Batch) -> None:
    objective = Adversarial(Threat(epsilon=0.3), attack=pgd(num_steps=1, step_size=0.0))
    first = objective.search(model, batch)
    assert torch.equal(objective.search(model, batch), first)
    turned = Batch(*(t.flip(0) for t in batch))
    assert torch.equal(objective.search(model, turned).flip(0), first)
    objective.end_epoch()
    assert not torch.equal(objective.search(model, batch), first)
    other = Adversarial(Threat(epsilon=0.3), attack=objective.attack, seed=1)
    assert not torch.equal(other.search(model, batch), first)


def test_the_epoch_is_saved(batch: Batch) -> None:
    objective = Adversarial(Threat(), epsilon=WarmUp(Constant(1.0), num_epochs=3))
    objective.end_epoch()
    again = Adversarial(Threat(), epsilon=WarmUp(Constant(1.0), num_epochs=3))
    again.load_state_dict(objective.state_dict())
    assert again.epsilon(batch.index)[0] == 0.5
    assert again.streams(batch).keys.equal(objective.streams(batch).keys)
