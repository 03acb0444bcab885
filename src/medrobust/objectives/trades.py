"""TRADES and MART: robustness as agreement between the outputs of clean and adversarial images."""

from __future__ import annotations

import torch
from torch import Tensor

from ..attacks.base import Attack
from ..data.images.batch import Batch
from ..engine.ascend import Score, ascend
from ..engine.program import Program
from ..models.classifier import Classifier
from ..threat import Threat
from .adversarial import AgainstAttack, AlongSteps
from .base import TrainingLoss, clean_loss, divergence, joint
from .epsilon import EpsilonRule

FIRST_NOISE = 1e-3  # the divergence has no slope at the image itself


class Trades(AlongSteps):
    """CE(f(x), y) + beta * KL(f(x) || f(x')), with x' the point of the ball where the divergence is largest.

    Zhang et al. 2019, arXiv:1901.08573. The search starts at the image plus noise of 0.001, as in their code, whatever
    the attack's own start, and computes the clean logits once, not once per step. Of the attack, only the steps and
    their length are used.

    Args:
        beta: weight of the divergence; 6 in their experiments, 1 in Sun et al. 2022 (arXiv:2205.01674).
        threat, attack, epsilon, seed: see AgainstAttack.

    Errors: ValueError when beta is negative.
    """

    full_budget = True

    def __init__(
        self,
        threat: Threat,
        *,
        beta: float = 6.0,
        attack: Program | None = None,
        epsilon: EpsilonRule | None = None,
        seed: int = 0,
    ) -> None:
        if beta < 0:
            raise ValueError(f"beta must be 0 or larger, got {beta}")
        super().__init__(threat, attack=attack, epsilon=epsilon, seed=seed)
        self.beta = beta

    def search(self, model: Classifier, batch: Batch) -> Tensor:
        if self.beta == 0:
            return batch.x
        program = self.program
        ball = self.threat_of(batch).around(batch.x)
        noise = FIRST_NOISE * self.streams(batch).child("noise").normal(batch.x)
        with self.searching(model) as still:
            with torch.no_grad():
                clean = still(batch.x)

            def disagreement(x: Tensor) -> Score:
                logits = still(x)
                return Score(divergence(clean, logits), logits, logits.argmax(1) != batch.y)

            x_adv = batch.x
            for point in ascend(disagreement, ball, ball.project(batch.x + noise), program.step, program.num_steps):
                x_adv = point.x
        return x_adv

    def loss(self, model: Classifier, batch: Batch, found: Tensor) -> TrainingLoss:
        if self.beta == 0:
            return clean_loss(model(batch.x), batch.y)
        clean_logits, logits = joint(model, batch.x, found)
        clean = clean_loss(clean_logits, batch.y)
        gap = divergence(clean_logits, logits).mean()
        robust = (logits.detach().argmax(1) == batch.y).float().mean()
        parts = clean.parts | {"divergence": gap.detach(), "robust_accuracy": robust}
        return TrainingLoss(clean.total + self.beta * gap, parts)


class Mart(AgainstAttack):
    """BCE(f(x'), y) + weight * mean of KL(f(x) || f(x')) * (1 - p_y(x)), with x' from the attack.

    BCE(f, y) = -log p_y - log(1 - max of p_k, k != y). Images that are wrong without an attack count more (Wang et al.
    2020, openreview rklOg6EFwS). We take log(1 - p) exactly from the logits; their code adds 0.0001 inside the
    logarithm.

    Args:
        weight: their lambda.
        threat, attack, epsilon, seed: see AgainstAttack.

    Errors: ValueError when the weight is negative.
    """

    full_budget = True

    def __init__(
        self,
        threat: Threat,
        *,
        weight: float = 5.0,
        attack: Attack | None = None,
        epsilon: EpsilonRule | None = None,
        seed: int = 0,
    ) -> None:
        if weight < 0:
            raise ValueError(f"weight must be 0 or larger, got {weight}")
        super().__init__(threat, attack=attack, epsilon=epsilon, seed=seed)
        self.weight = weight

    def loss(self, model: Classifier, batch: Batch, found: Tensor) -> TrainingLoss:
        clean_logits, logits = joint(model, batch.x, found)
        own = batch.y[:, None]
        log_p = logits.log_softmax(1)
        rival = log_p.detach().scatter(1, own, -torch.inf).argmax(1, keepdim=True)
        log_others = log_p.scatter(1, rival, -torch.inf).logsumexp(1)
        boosted = (-log_p.gather(1, own)[:, 0] - log_others).mean()
        doubt = 1 - clean_logits.softmax(1).gather(1, own)[:, 0]
        gap = (divergence(clean_logits, logits) * doubt).mean()
        parts = {
            "boosted_loss": boosted.detach(),
            "divergence": gap.detach(),
            "accuracy": clean_loss(clean_logits, batch.y).parts["accuracy"],
            "robust_accuracy": (logits.detach().argmax(1) == batch.y).float().mean(),
        }
        return TrainingLoss(boosted + self.weight * gap, parts)
