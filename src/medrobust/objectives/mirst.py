"""Robust self-training, with one adversarial instance or several."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from ..attacks import pgd
from ..attacks.base import Attack
from ..data.images.batch import Batch
from ..engine.program import Program
from ..models.classifier import Classifier
from ..threat import Threat
from .adversarial import AgainstAttack, AlongSteps
from .base import TrainingLoss, adversarial_loss, clean_loss, joint
from .epsilon import EpsilonRule


class Rst(AgainstAttack):
    """CE(f(x), y) + weight * CE(f(x_adv), y): supervised robust self-training.

    Equation 1 of Sun et al. 2022 (arXiv:2205.01674). The semi-supervised form (Carmon et al. 2019, arXiv:1905.13736) is
    this loss on images that a teacher has labeled.

    Args:
        weight: of the adversarial loss.
        threat, attack, epsilon, seed: see AgainstAttack.
    """

    full_budget = True

    def __init__(
        self,
        threat: Threat,
        *,
        weight: float = 1.0,
        attack: Attack | None = None,
        epsilon: EpsilonRule | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(threat, attack=attack, epsilon=epsilon, seed=seed)
        self.weight = weight

    def loss(self, model: Classifier, batch: Batch, found: Tensor) -> TrainingLoss:
        return weighted_instances(model, batch, [found], [self.weight])


class Mirst(AlongSteps):
    """CE(f(x), y) + alpha * sum of beta_j CE(f(x_j), y), over instances x_j on the way of one PGD.

    Sun et al. 2022 (arXiv:2205.01674), eqs. 2 and 3.

    x_1 is the image itself and x_{t+1} the point after t steps; the paper's instances are x_3, x_5, x_7, x_9 of 10
    steps, with descending weights. The search starts at the image and stops at the last instance wanted, so the
    default takes 8 steps.

    Args:
        instances: their numbers, 2 or more.
        weights: one for each instance (beta).
        alpha: weight of them all.
        attack: 10 steps of epsilon / 10 by default; only its steps and their length are used.
        threat, epsilon, seed: see AgainstAttack.

    Errors: ValueError for instances that the attack does not visit, or not one weight for each.
    """

    full_budget = True

    def __init__(
        self,
        threat: Threat,
        *,
        instances: Sequence[int] = (3, 5, 7, 9),
        weights: Sequence[float] = (0.34, 0.28, 0.22, 0.16),
        alpha: float = 1.0,
        attack: Program | None = None,
        epsilon: EpsilonRule | None = None,
        seed: int = 0,
    ) -> None:
        attack = attack or pgd(num_steps=10, relative_step_size=0.1, random_start=False)
        super().__init__(threat, attack=attack, epsilon=epsilon, seed=seed)
        last = self.program.num_steps + 1
        if len(instances) != len(weights) or not instances:
            raise ValueError(f"{len(weights)} weights for {len(instances)} instances")
        if min(instances) < 2 or max(instances) > last or len(set(instances)) < len(instances):
            raise ValueError(
                f"instances {tuple(instances)} must be different numbers from 2 to {last}, the attack's last"
            )
        self.instances, self.weights, self.alpha = tuple(instances), tuple(weights), alpha

    def search(self, model: Classifier, batch: Batch) -> list[Tensor]:
        # The last instance needs no gradient: it is the end of a shorter attack.
        program = dataclasses.replace(self.program, num_steps=max(self.instances) - 1)
        with self.searching(model) as still:
            _, points = program.trajectory(still, batch.x, batch.y, self.threat_of(batch), start=batch.x)
            found = {number: point.x.detach() for number, point in enumerate(points, start=1)}
        return [found[number] for number in self.instances]

    def loss(self, model: Classifier, batch: Batch, found: list[Tensor]) -> TrainingLoss:
        return weighted_instances(model, batch, found, [self.alpha * weight for weight in self.weights])


def weighted_instances(
    model: Classifier, batch: Batch, found: Sequence[Tensor], weights: Sequence[float]
) -> TrainingLoss:
    """CE of the clean images plus the weighted CE of each set of examples, from one forward pass."""
    clean_logits, *logits = joint(model, batch.x, *found)
    clean = clean_loss(clean_logits, batch.y)
    losses = [adversarial_loss(z, batch.y) for z in logits]
    total = clean.total + torch.stack([w * one.total for w, one in zip(weights, losses, strict=True)]).sum()
    return TrainingLoss(total, clean.parts | losses[-1].parts)
