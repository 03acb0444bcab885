"""What a broken line of a check would change: each is shown what it must object to, and what it must let pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from measuring.toys import EPSILONS, image_set, linear
from medrobust.attacks import bim, fgsm, pgd, restarts, worst_case
from medrobust.attacks.base import Attack
from medrobust.auditing.checks.budgets import below_half_grey_level, largest_budget_breaks_all, reach
from medrobust.auditing.checks.model import answers_something, batch_independent, deterministic
from medrobust.auditing.checks.sample import broken_files, enough_images
from medrobust.auditing.context import Context, run_checks
from medrobust.findings import Finding
from medrobust.measuring import Grid, Plan, measure
from medrobust.models.classifier import Classifier
from medrobust.records import Records

NOTHING = Records({})


def context(model: nn.Module | None = None, *attacks: Attack, epsilons: tuple[float, ...] = EPSILONS) -> Context:
    model = linear() if model is None else model
    shown = model if isinstance(model, Classifier) else Classifier(model, channels=1)
    titled = {f"attack {k}": attack for k, attack in enumerate(attacks or (fgsm(),))}
    return Context(shown, image_set(24), Plan(titled, (Grid("linf", epsilons),)))


def clean_rows(labels: np.ndarray, answers: np.ndarray, groups: np.ndarray) -> Records:
    n = len(labels)
    clean = np.array(["clean"] * n, dtype=object)
    ids = np.array([f"i{k}" for k in range(n)], dtype=object)
    rows = {"attack": clean, "image_id": ids, "label": labels, "clean_prediction": answers, "group_id": groups}
    return Records(rows)


# Attacks and budgets.


@pytest.mark.parametrize(
    ("attack", "severity"),
    [
        (bim(num_steps=5, relative_step_size=0.2), "pass"),
        (bim(num_steps=5, relative_step_size=0.1), "fail"),
        (pgd(num_steps=100, step_size=0.001), "fail"),
        (restarts(bim(num_steps=5, relative_step_size=0.1), 2), "fail"),
        (worst_case([fgsm(), bim(num_steps=2, relative_step_size=0.3)]), "fail"),
        (worst_case([fgsm(), bim(num_steps=2, relative_step_size=0.5)]), "pass"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_steps_must_be_able_to_cross_the_ball(attack: Attack, severity: str) -> None:
    assert reach(NOTHING, context(None, fgsm(), attack)).severity == severity


@pytest.mark.parametrize(("largest", "severity"), [(0.02, "warn"), (0.5, "pass")])
def test_a_budget_that_may_repaint_the_image_breaks_every_image(largest: float, severity: str) -> None:
    given = context(epsilons=(0.01, largest))
    records, _ = measure(given.model, given.images, given.plan)
    assert largest_budget_breaks_all(records, given).severity == severity


@pytest.mark.parametrize(("smallest", "severity"), [(0.4 / 255, "warn"), (0.6 / 255, "pass")])
def test_budgets_below_half_a_grey_level_are_told(smallest: float, severity: str) -> None:
    assert below_half_grey_level(NOTHING, context(epsilons=(smallest, 0.1))).severity == severity


# The model.


class Net(nn.Module):
    """Two logits of the mean, with what a rule adds to them."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.weight = kind, nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        z = self.weight * (x.flatten(1).mean(1) - 0.5)
        if self.kind == "random":
            z = z + 0.01 * torch.randn_like(z)
        if self.kind == "mixing":
            z = z - z.mean()
        return torch.stack([torch.zeros_like(z), z], 1)


@pytest.mark.parametrize(("kind", "severity"), [("sound", "pass"), ("mixing", "pass"), ("random", "fail")])
def test_the_same_image_twice_must_give_the_same_output(kind: str, severity: str) -> None:
    assert deterministic(NOTHING, context(Net(kind))).severity == severity


@pytest.mark.parametrize(("kind", "severity"), [("sound", "pass"), ("mixing", "fail")])
def test_an_image_alone_must_give_the_same_output(kind: str, severity: str) -> None:
    assert batch_independent(NOTHING, context(Net(kind))).severity == severity


def test_a_constant_answer_is_not_robust() -> None:
    labels, groups = np.arange(40) % 2, np.arange(40).astype(str)
    given = context()
    assert answers_something(clean_rows(labels, np.zeros(40, dtype=int), groups), given).severity == "fail"
    assert answers_something(clean_rows(labels, np.arange(40) // 2 % 2, groups), given).severity == "fail"
    assert answers_something(clean_rows(labels, labels, groups), given).severity == "pass"


# The images.


def test_images_of_few_patients_are_few_images() -> None:
    """400 images, 70 % right, whole patients at a time: 400 patients say enough, 10 do not."""
    labels = np.arange(400) % 2
    right = np.arange(400) // 40 < 7
    answers = np.where(right, labels, 1 - labels)
    given = context()
    assert enough_images(clean_rows(labels, answers, np.arange(400).astype(str)), given).severity == "pass"
    assert enough_images(clean_rows(labels, answers, (np.arange(400) // 40).astype(str)), given).severity == "warn"
    rare = (np.arange(400) < 9).astype(int)
    assert enough_images(clean_rows(rare, rare, np.arange(400).astype(str)), given).severity == "warn"


def test_files_that_were_left_out_are_told() -> None:
    given = context()
    assert broken_files(NOTHING, given).severity == "pass"
    images = given.images.replace(broken=(("x.png", "empty file"),))
    found = broken_files(NOTHING, Context(given.model, images, given.plan))
    assert found.severity == "warn"
    assert "x.png" in found.evidence


def test_the_worst_finding_stands_first() -> None:
    made = {severity: Finding(severity, severity, "?", "") for severity in ("pass", "warn", "fail")}
    checks = [lambda *_: made["pass"], lambda *_: [made["warn"], made["fail"]]]
    assert [found.id for found in run_checks(checks, NOTHING, context())] == ["fail", "warn", "pass"]
