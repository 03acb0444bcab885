"""Targeted goals with 3 classes and more: broken means the same in every path, a wrong answer on the way included."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from measuring.toys import SIDE, image_set, of_bits
from medrobust.attacks import (
    Attack,
    autoattack,
    bim,
    cw_linf_min,
    ddn,
    deepfool,
    fab,
    fgsm,
    fmn,
    hop_skip_jump,
    pgd,
    restarts,
    smallest,
    smallest_epsilon,
    square,
    transfer,
    uniform_noise,
)
from medrobust.attacks.honest import honest
from medrobust.data import ImageSet
from medrobust.goals import Goal, GoalRule, LeastLikely, OrWrong, Towards, or_wrong, runner_up, targeted, untargeted
from medrobust.measuring.each_budget import each_budget
from medrobust.measuring.measure import measure
from medrobust.measuring.outcome import Grid
from medrobust.measuring.plan import Plan
from medrobust.measuring.subjects import Subjects
from medrobust.models.classifier import Classifier
from medrobust.records.curves import curves, worst_case
from medrobust.streams import Streams
from medrobust.threat import Threat

EPSILONS = (0.005, 0.01, 0.02, 0.04)


def toy(num_classes: int, n: int = 40) -> tuple[Classifier, ImageSet]:
    """A bent network, and images whose labels are its own answers."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 12), nn.Tanh(), nn.Linear(12, num_classes))
    with torch.no_grad():
        net[1].weight.mul_(12)
        net[1].bias.copy_(-net[1].weight.sum(1) / 2)
    images = image_set(n, num_classes)
    model = Classifier(net, classes=images.classes, channels=1)
    with torch.no_grad():
        answers = model(torch.stack([images[i][0] for i in range(n)])).argmax(1).tolist()
    labeled = [replace(sample, label=label) for sample, label in zip(images.samples, answers, strict=True)]
    return model, images.replace(samples=labeled)


def accuracy(model: Classifier, images: ImageSet, attacks: dict[str, Attack], protocol: str = "honest") -> dict:
    plan = Plan(attacks, (Grid("linf", EPSILONS),), protocol=protocol, precision="float32")
    records = measure(model, images, plan)[0]
    return {curve.attack: curve.envelope.mean(0) for curve in curves(records)} | {"worst": worst_case(records, "linf")}


def by_hand(model: Classifier, images: ImageSet, attack: Attack, title: str) -> np.ndarray:
    """Every budget on its own, every point visited asked whether its answer is wrong."""
    x = torch.stack([images[i][0] for i in range(len(images))])
    y = torch.tensor([sample.label for sample in images.samples])
    streams = Streams.of(0, [sample.image_id for sample in images.samples]).child(title)
    broken = torch.zeros(len(x), len(EPSILONS), dtype=torch.bool)
    with model.frozen():
        for j, epsilon in enumerate(EPSILONS):
            for point in attack.trajectory(model, x, y, Threat(epsilon), generator=streams.child(j))[1]:
                broken[:, j] |= point.score.logits.argmax(1) != y
    return 1 - broken.cummax(1).values.double().mean(0).numpy()


@pytest.mark.parametrize("num_classes", [3, 4])
@pytest.mark.parametrize("goal", [LeastLikely(), runner_up], ids=["least likely", "runner-up"])
def test_a_swept_targeted_attack_is_the_attack_at_every_budget(num_classes: int, goal: GoalRule) -> None:
    model, images = toy(num_classes)
    attack = pgd(num_steps=20, goal=goal)
    attacks = {"pgd": attack, "fgsm": fgsm(goal=goal), "twice": restarts(attack, 2)}
    attacks |= {"anything": restarts(pgd(num_steps=40), 5)}
    found, expected = accuracy(model, images, attacks), by_hand(model, images, attack, "pgd")
    assert 0.1 < expected[1] < 0.95
    # A sweep may find more than the attack, from a neighbor's point, never less.
    assert bool((found["pgd"] <= expected + 1e-9).all()), f"{found['pgd']} swept, {expected} by hand"
    assert bool((found["pgd"] >= found["anything"] - 1e-9).all())
    assert bool((found["twice"] <= expected + 1 / len(images) + 1e-9).all())
    assert bool((found["pgd"] <= found["fgsm"] + 1e-9).all()), "one step is stronger than 20"


@pytest.mark.parametrize("num_classes", [3, 4])
def test_every_budget_on_its_own_counts_what_was_visited(num_classes: int) -> None:
    model, images = toy(num_classes)
    attack = pgd(num_steps=20, goal=LeastLikely())
    x = torch.stack([images[i][0] for i in range(len(images))])
    y = torch.tensor([sample.label for sample in images.samples])
    with model.frozen(), torch.no_grad():
        kept, logits = honest(attack), model(x)
        streams = Streams.of(0, [sample.image_id for sample in images.samples]).child("pgd")
        shown = Subjects(x, y, kept.goal(logits, y), logits, of_bits([8] * len(x)), streams)
        outcome = each_budget(kept, shown, Grid("linf", EPSILONS), model, True)
    expected = by_hand(model, images, attack, "pgd")
    assert (1 - outcome.reached.double().mean(0)).tolist() == pytest.approx(expected.tolist())


WAYS: dict[str, Attack] = {
    "sweep": pgd(num_steps=12, random_start=False),
    "each budget": fgsm(),
    "restarts": restarts(pgd(num_steps=12), 2),
    "minimal": smallest(num_steps=12),
    "bisected": smallest_epsilon(bim(num_steps=6), 12),
    "ddn": ddn(num_steps=60),
    "fmn": fmn(num_steps=40),
    "deepfool": deepfool(),
    "fab": fab(num_steps=12),
    "cw_linf_min": cw_linf_min(num_steps=200),
    "square": square(num_queries=600),
    "hop_skip_jump": hop_skip_jump(num_queries=700),
    "noise": uniform_noise(num_draws=20),
}


def corridor(x: Tensor) -> Tensor:
    """Classes 0, 1, 2 along the brightness: from 0 the way to 2 leads through 1, which is left again."""
    z = 10 * (x - 0.5).flatten(1).mean(1)
    return torch.stack([-z, 3 * z - 0.8, 6 * z - 2.6], 1)


class Corridor(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return corridor(x)


@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_answer_on_the_way_is_a_success(way: str) -> None:
    """Class 1 from a change of .02 on; the target only from .06, beyond the budgets of most."""
    attack = WAYS[way]
    aimed = honest(_towards(attack, targeted(2)))
    images = image_set(6, 3)
    x = torch.full((1, SIDE, SIDE), 0.5)
    flat = ImageSet.of(torch.stack([x] * 6), torch.zeros(6, dtype=torch.long), classes=images.classes)
    model = Classifier(Corridor(), classes=images.classes, channels=1)
    epsilon = {"square": 0.055, "noise": 0.08, "hop_skip_jump": 0.08}.get(way, 0.04)
    plan = Plan({"a": aimed}, (Grid("linf", (0.01, epsilon)),), precision="float32")
    curve = curves(measure(model, flat, plan)[0])[0]
    broken = 1 - curve.envelope.mean(0)
    assert broken.tolist()[0] == 0
    if way != "noise":  # its mean hardly moves
        assert broken.tolist()[1] == 1


def _towards(attack: Attack, goal: GoalRule) -> Attack:
    if attack.abilities.parts:
        inner = {"attacks": tuple(_towards(part, goal) for part in attack.abilities.parts)}
        if attack.abilities.kind == "minimal":
            inner = {"attack": _towards(attack.abilities.parts[0], goal)}
        return replace(attack, **inner)
    return replace(attack, goal=goal)


def test_transfer_keeps_its_search_and_counts_every_error() -> None:
    aimed = honest(transfer(bim(num_steps=4, goal=targeted(2)), corridor))
    (part,) = aimed.attacks
    assert part.attack.goal == targeted(2)
    x, y = torch.full((1, 1, SIDE, SIDE), 0.5), torch.tensor([0])
    x_adv = aimed(corridor, x, y, Threat(0.04))
    goal = part.goal(corridor(x), y)
    assert corridor(x_adv).argmax(1).tolist() == [1]
    assert goal.reached(corridor(x_adv)).tolist() == [True]
    assert float((x_adv - x).abs().max()) == pytest.approx(0.04, rel=1e-4), "the last point, not the first success"


def test_as_published_only_what_the_papers_counted_counts() -> None:
    """Protocol paper runs the attack as it is: the target alone ends it, and its last point counts."""
    attack = bim(num_steps=4, goal=targeted(2))
    plan = Plan({"a": attack}, (Grid("linf", (0.04, 0.2)),), protocol="paper", precision="float32")
    assert plan.runs["a"] == attack
    images = ImageSet.of(torch.full((1, 1, SIDE, SIDE), 0.5), torch.zeros(1, dtype=torch.long), classes=["a", "b", "c"])
    model = Classifier(Corridor(), classes=images.classes, channels=1)
    records = measure(model, images, plan)[0]
    assert records.matrix("a", "linf", "reached")[1].tolist() == [[False, True]]
    assert records.matrix("a", "linf", "prediction")[1].tolist() == [[1, 2]]


def test_only_a_class_to_reach_gets_a_second_way_to_win() -> None:
    logits, y = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0])
    assert or_wrong(untargeted) is untargeted
    assert or_wrong(Towards(1)) == Towards(1)
    assert or_wrong(or_wrong(LeastLikely())) == OrWrong(LeastLikely())
    assert or_wrong(lambda logits, y: Goal(y, False))(logits, y).leave is None
    assert honest(autoattack()) == autoattack()
