"""Each check of an audit is red where its condition is planted, and green where it is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medrobust.attacks import bim, fgsm, pgd, restarts, smallest_epsilon, ti_fgsm, transfer, worst_case
from medrobust.attacks.base import Attack
from medrobust.auditing.checks.budgets import below_half_grey_level, largest_budget_breaks_all, reach
from medrobust.auditing.checks.model import answers_something, batch_independent, deterministic
from medrobust.auditing.checks.sample import broken_files, enough_images
from medrobust.auditing.context import Context
from medrobust.data import ImageSet
from medrobust.findings import Finding
from medrobust.measuring.outcome import Grid
from medrobust.measuring.plan import Plan
from medrobust.models.classifier import Classifier
from medrobust.records import Records
from medrobust.testing import small_audit
from medrobust.testing.checks import brightness_model
from medrobust.testing.image_sets import tiny_set


@pytest.fixture(scope="module")
def sound() -> tuple[Records, Context]:
    """A classifier that is right about 60 images and falls at the largest budget."""
    return small_audit(images=tiny_set(60))


class Sees(nn.Module):
    """brightness_model, and something else added to its logits."""

    def __init__(self, added: str) -> None:
        super().__init__()
        self.net, self.added = brightness_model(tiny_set()).network, added

    def forward(self, x: Tensor) -> Tensor:
        logits = self.net(x)
        if self.added == "noise":
            return logits + 1e-2 * torch.rand_like(logits)
        if self.added == "neighbors":
            return logits + 1e-2 * x.mean()
        return logits


def with_model(sound: tuple[Records, Context], added: str) -> tuple[Records, Context]:
    records, context = sound
    model = Classifier(Sees(added), classes=context.images.classes, channels=3)
    return records, dataclasses.replace(context, model=model)


@pytest.mark.parametrize(("check", "added"), [(deterministic, "noise"), (batch_independent, "neighbors")])
def test_a_model_that_is_no_function_of_the_image_fails(check, added: str, sound) -> None:
    assert check(*with_model(sound, "nothing")).severity == "pass"
    found = check(*with_model(sound, added))
    assert found.severity == "fail"
    assert "0.01" in found.evidence or "0.00" in found.evidence


def test_layers_that_only_look_random_in_training_mode_pass(sound) -> None:
    records, context = sound
    net = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm2d(3), Sees("nothing")).train()
    changed = dataclasses.replace(context, model=Classifier(net, classes=context.images.classes, channels=3))
    assert deterministic(records, changed).severity == "pass"
    assert batch_independent(records, changed).severity == "pass"


def answering(labels: Sequence[int], predictions: Sequence[int], classes: int = 2) -> Finding:
    """What answers_something says of a classifier that gives these answers."""
    n = len(labels)
    clean = {
        "image_id": np.arange(n).astype(str),
        "attack": np.full(n, "clean"),
        "norm": np.full(n, ""),
        "label": np.array(labels),
        "clean_prediction": np.array(predictions),
    }
    images = tiny_set(4, classes)
    plan = Plan({"fgsm": fgsm()}, (Grid("linf", (0.1,)),))
    return answers_something(Records(clean), Context(brightness_model(tiny_set()), images, plan))


def test_a_classifier_that_has_collapsed_fails() -> None:
    half = [0, 1] * 50
    constant = answering(half, [0] * 100)
    assert constant.severity == "fail"
    assert "100% of the answers are 'class0'; balanced accuracy 0.500, guessing gives 0.500" in constant.evidence
    assert answering(half, [0] * 97 + [1] * 3).severity == "fail"
    assert answering(half, [0, 0, 1, 1] * 25).severity == "fail", "guessing"
    assert answering([0, 1, 2] * 10, [1] * 30, 3).severity == "fail"
    assert answering(half, half).severity == "pass"
    assert answering([0, 1, 2] * 10, [0, 1, 1] * 10, 3).severity == "pass"


def test_images_of_one_class_say_nothing_about_a_collapse() -> None:
    found = answering([0] * 10, [0] * 9 + [1])
    assert found.severity == "fail"
    assert found.evidence.startswith("no image of class 'class1' in the part audited; 90% of the images")
    assert "collapsed" not in found.advice
    two = answering([0, 1] * 10, [0, 1] * 10, 3)
    assert two.severity == "pass"
    assert two.evidence.startswith("no image of class 'class2' in the part audited; 50% of the answers")


def test_a_rare_class_is_no_collapse() -> None:
    """Of 100 images 2 are of class 1: who finds both gives one answer 98 times and is still right."""
    rare = [1, 1] + [0] * 98
    assert answering(rare, rare).severity == "pass"
    assert answering(rare, [0] * 100).severity == "fail"


def reached(attacks: dict[str, Attack], *grids: Grid) -> Finding:
    images = tiny_set(4)
    records, context = small_audit(images=images)
    plan = Plan(attacks, grids or (Grid("linf", (0.01, 0.1)),))
    return reach(records, dataclasses.replace(context, plan=plan))


@pytest.mark.parametrize(
    ("attack", "share"),
    [
        (bim(num_steps=5, relative_step_size=0.1), "50%"),
        (bim(num_steps=5, step_size=0.002), "10%"),
        (ti_fgsm(num_steps=3, relative_step_size=0.25), "75%"),
        (restarts(bim(num_steps=2, relative_step_size=0.2), 3), "40%"),
        (worst_case([pgd(), bim(num_steps=2, relative_step_size=0.3)]), "60%"),
        (transfer(bim(num_steps=1, relative_step_size=0.2), lambda x: x.flatten(1)[:, :2]), "20%"),
        (smallest_epsilon(bim(num_steps=2, relative_step_size=0.35)), "70%"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_attacks_that_cannot_cross_the_ball_fail(attack: Attack, share: str) -> None:
    found = reached({"short": attack, "pgd": pgd()})
    assert found.severity == "fail"
    assert found.evidence == f"short (linf) reaches {share} of epsilon 0.1"


def test_attacks_that_can_cross_the_ball_pass() -> None:
    whole = {
        "fgsm": fgsm(),
        "bim": bim(num_steps=10),
        "ti": ti_fgsm(),
        "fixed": bim(num_steps=10, step_size=0.01),
        "restarts": restarts(pgd(num_steps=5), 2),
        "transfer": transfer(fgsm(), lambda x: x.flatten(1)[:, :2]),
    }
    assert reached(whole).severity == "pass"


def test_reach_looks_at_the_largest_budget_of_every_norm() -> None:
    found = reached({"fixed": bim(num_steps=10, step_size=0.01)}, Grid("linf", (0.01, 0.1)), Grid("l2", (0.05, 0.2)))
    assert found.evidence == "fixed (l2) reaches 50% of epsilon 0.2"


def test_a_largest_budget_that_leaves_images_warns(sound) -> None:
    assert largest_budget_breaks_all(*sound).severity == "pass"
    found = largest_budget_breaks_all(*small_audit(images=tiny_set(12), epsilons=(1 / 255, 2 / 255)))
    assert found.severity == "warn"
    assert "linf 0.007843: 100.0% still right" in found.evidence


def test_budgets_below_half_a_grey_level_warn() -> None:
    images = tiny_set(4)
    small = below_half_grey_level(*small_audit(images=images, epsilons=(0.1 / 255, 0.4 / 255, 1 / 255)))
    assert small.severity == "warn"
    assert small.evidence.startswith("2 linf budgets are below half a stored unit (grey level of 8 bits, 0.002)")
    assert below_half_grey_level(*small_audit(images=images, epsilons=(0.5 / 255, 1 / 255))).severity == "pass"
    assert below_half_grey_level(*small_audit(images=images, epsilons=(0.1 / 255,), norm="l2")).severity == "pass"
    deep = ImageSet.of(np.full((4, 3, 8, 8), 30000, np.uint16), np.arange(4) % 2)
    assert below_half_grey_level(*small_audit(images=deep, epsilons=(0.1 / 255,))).severity == "pass"


def test_few_images_or_few_of_a_class_warn(sound) -> None:
    assert enough_images(*sound).severity == "pass"
    few = enough_images(*small_audit(images=tiny_set(12), epsilons=(0.1,)))
    assert few.severity == "warn"
    assert few.evidence.startswith("12 images (6 class0, 6 class1); the clean accuracy is known to +- 0.")
    images = tiny_set(120)
    rare = images.subset([i for i in range(120) if i % 2 == 0 or i < 18])
    found = enough_images(*small_audit(images=rare, epsilons=(0.1,)))
    assert (found.severity, "9 class1" in found.evidence) == ("warn", True)


def test_files_that_could_not_be_read_warn(sound) -> None:
    records, context = sound
    assert broken_files(records, context).severity == "pass"
    broken = context.images.replace(broken=[(f"{k}.png", "cut short") for k in range(7)])
    found = broken_files(records, dataclasses.replace(context, images=broken))
    assert (found.severity, found.evidence) == ("warn", "7 left out: 0.png, 1.png, 2.png, 3.png, 4.png, ...")
