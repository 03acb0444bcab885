"""Adversarial training, from all-adversarial (Madry) to half clean (SAT)."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from ..attacks import pgd
from ..attacks.base import Attack
from ..data.images.batch import Batch
from ..engine.program import Program
from ..models.classifier import Classifier
from ..threat import Threat
from .base import TrainingLoss, TrainingObjective, adversarial_loss, clean_loss, joint
from .epsilon import Constant, EpsilonRule


class AgainstAttack(TrainingObjective):
    """Base of the objectives that need adversarial examples: search returns x_adv (n, c, *spatial).

    Args:
        threat: norm and domain, and epsilon where no rule is given.
        attack: 7-step PGD with steps of epsilon / 4 by default.
        epsilon: budget of each image; a Constant of threat.epsilon by default.
        seed: of the random starts.

    Errors: ValueError when neither the threat nor a rule gives an epsilon.
    """

    def __init__(
        self, threat: Threat, *, attack: Attack | None = None, epsilon: EpsilonRule | None = None, seed: int = 0
    ) -> None:
        super().__init__(seed=seed)
        if epsilon is None and not bool(torch.isfinite(torch.as_tensor(threat.epsilon)).all()):
            raise ValueError("the threat has no epsilon: write for example Threat('4/255')")
        self.threat = threat
        self.attack = attack or pgd(num_steps=7, relative_step_size=0.25)
        self.epsilon = epsilon or Constant(float(threat.epsilon))

    def threat_of(self, batch: Batch) -> Threat:
        """The threat with this batch's budgets."""
        return dataclasses.replace(self.threat, epsilon=self.epsilon(batch.index))

    def search(self, model: Classifier, batch: Batch) -> Any:
        with self.searching(model) as still:
            return self.attack(still, batch.x, batch.y, self.threat_of(batch), generator=self.streams(batch))

    def end_epoch(self) -> None:
        super().end_epoch()
        self.epsilon.end_epoch()


class AlongSteps(AgainstAttack):
    """Base of the objectives that take the steps of an attack but climb something other than its loss.

    Args:
        attack: made of steps, as pgd, bim or mi_fgsm are; their number and rule are used.
        threat, epsilon, seed: see AgainstAttack.

    Errors: ValueError for an attack with a loop of its own.
    """

    def __init__(
        self, threat: Threat, *, attack: Program | None = None, epsilon: EpsilonRule | None = None, seed: int = 0
    ) -> None:
        super().__init__(threat, attack=attack, epsilon=epsilon, seed=seed)
        program = self.attack.abilities.program
        if program is None or self.attack.abilities.kind != "bounded":
            name = type(self.attack).__name__
            raise ValueError(f"needs an attack made of steps with a budget, as pgd or bim are, not {name}")
        self.program: Program = program


class Adversarial(AgainstAttack):
    """clean_weight * CE(f(x), y) + (1 - clean_weight) * CE(f(x_adv), y).

    A clean_weight of 0 is the adversarial training of Madry et al. 2018 (arXiv:1706.06083); 0.5 is SAT of Li et al.
    2024 (arXiv:2403.06798) and, in expectation, the half-clean batches of Joel et al. 2021
    (doi:10.1101/2021.01.17.21249704).

    Args:
        clean_weight: from 0 to 1; 1 is clean training and runs no attack.
        threat, attack, epsilon, seed: see AgainstAttack.

    Example:
        >>> import torch
        >>> model = Classifier(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)), channels=1)
        >>> batch = Batch(torch.rand(3, 1, 2, 2), torch.tensor([0, 1, 0]), torch.arange(3))
        >>> loss = Adversarial(Threat(epsilon=0.1), clean_weight=0.5)(model, batch)
        >>> bool(loss.parts["adversarial_loss"] >= loss.parts["clean_loss"])
        True
    """

    full_budget = True

    def __init__(
        self,
        threat: Threat,
        *,
        clean_weight: float = 0.0,
        attack: Attack | None = None,
        epsilon: EpsilonRule | None = None,
        seed: int = 0,
    ) -> None:
        if not 0 <= clean_weight <= 1:
            raise ValueError(f"clean_weight must be from 0 to 1, got {clean_weight}")
        super().__init__(threat, attack=attack, epsilon=epsilon, seed=seed)
        self.clean_weight = clean_weight

    def search(self, model: Classifier, batch: Batch) -> Any:
        return batch.x if self.clean_weight == 1 else super().search(model, batch)

    def loss(self, model: Classifier, batch: Batch, found: Tensor) -> TrainingLoss:
        if self.clean_weight == 1:
            return clean_loss(model(batch.x), batch.y)
        if self.clean_weight == 0:
            return adversarial_loss(model(found), batch.y)
        clean_logits, logits = joint(model, batch.x, found)
        clean, adversarial = clean_loss(clean_logits, batch.y), adversarial_loss(logits, batch.y)
        total = self.clean_weight * clean.total + (1 - self.clean_weight) * adversarial.total
        return TrainingLoss(total, clean.parts | adversarial.parts)
