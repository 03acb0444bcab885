"""Regularized training: the slope of the loss, and how far the loss is from its slope."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.images.batch import Batch
from ..engine.ascend import Score, ascend
from ..engine.program import Program
from ..models.classifier import Classifier
from ..threat import Threat
from .adversarial import AlongSteps
from .base import TrainingLoss, TrainingObjective, clean_loss, joint
from .epsilon import EpsilonRule


def inner(a: Tensor, b: Tensor) -> Tensor:
    """(n,) inner products of the samples of two (n, ...) tensors."""
    return (a * b).flatten(1).sum(1)


class GradientRegularized(TrainingObjective):
    """CE(f(x), y) + weight * mean of |grad_x CE|_2^2 (GR; Ross & Doshi-Velez 2018, arXiv:1711.09404).

    Gradients are with respect to pixels in [0, 1]. Needs a second backward pass and no attack.

    Args:
        weight: of the penalty; 1 in Sun et al. 2022 (arXiv:2205.01674).
        seed: without effect, as nothing is random.

    Errors: ValueError when the weight is negative.
    """

    second_order = True

    def __init__(self, *, weight: float = 1.0, seed: int = 0) -> None:
        if weight < 0:
            raise ValueError(f"weight must be 0 or larger, got {weight}")
        super().__init__(seed=seed)
        self.weight = weight

    def loss(self, model: Classifier, batch: Batch, found: Any) -> TrainingLoss:
        if self.weight == 0:
            return clean_loss(model(batch.x), batch.y)
        x = batch.x.detach().requires_grad_()
        logits = model(x)
        value = F.cross_entropy(logits, batch.y, reduction="sum")
        (slope,) = torch.autograd.grad(value, x, create_graph=True)
        penalty = inner(slope, slope).mean()
        clean = clean_loss(logits, batch.y)
        return TrainingLoss(clean.total + self.weight * penalty, clean.parts | {"slope": penalty.detach()})


class LocallyLinear(AlongSteps):
    """CE(x) + linearity * g + gradient * |d . grad_x CE(x)|, with g = |CE(x + d) - CE(x) - d . grad_x CE(x)|.

    x + d is where g is largest in the ball (LLR; Qin et al. 2019, arXiv:1907.02610), searched from a random point with
    the attack's steps. Gradients of both terms reach the parameters through grad_x CE.

    Args:
        linearity, gradient: weights; 3 and 4 in Sun et al. 2022 (arXiv:2205.01674), 4 and 3 in the original.
        threat, attack, epsilon, seed: see AgainstAttack.

    Errors: ValueError when a weight is negative.
    """

    second_order = True

    def __init__(
        self,
        threat: Threat,
        *,
        linearity: float = 3.0,
        gradient: float = 4.0,
        attack: Program | None = None,
        epsilon: EpsilonRule | None = None,
        seed: int = 0,
    ) -> None:
        if linearity < 0 or gradient < 0:
            raise ValueError(f"linearity and gradient must be 0 or larger, got {linearity}, {gradient}")
        super().__init__(threat, attack=attack, epsilon=epsilon, seed=seed)
        self.linearity, self.gradient = linearity, gradient

    def search(self, model: Classifier, batch: Batch) -> Tensor:
        program = self.program
        ball = self.threat_of(batch).around(batch.x)
        with self.searching(model) as still:
            with torch.enable_grad():
                x = batch.x.detach().requires_grad_()
                logits = still(x)
                there = F.cross_entropy(logits, batch.y, reduction="none")
                (slope,) = torch.autograd.grad(there.sum(), x)
            there = there.detach()

            def bend(x: Tensor) -> Score:
                logits = still(x)
                here = F.cross_entropy(logits, batch.y, reduction="none")
                away = (here - there - inner(slope, x - batch.x)).abs()
                return Score(away, logits, logits.argmax(1) != batch.y)

            x_adv = batch.x
            for point in ascend(bend, ball, ball.sample(self.streams(batch)), program.step, program.num_steps):
                x_adv = point.x
        return x_adv

    def loss(self, model: Classifier, batch: Batch, found: Tensor) -> TrainingLoss:
        x = batch.x.detach().requires_grad_()
        logits, moved = joint(model, x, found)
        there, here = (F.cross_entropy(z, batch.y, reduction="none") for z in (logits, moved))
        (slope,) = torch.autograd.grad(there.sum(), x, create_graph=True)
        rise = inner(slope, found - batch.x)
        bend, tilt = (here - there - rise).abs().mean(), rise.abs().mean()
        clean = clean_loss(logits, batch.y)
        total = clean.total + self.linearity * bend + self.gradient * tilt
        return TrainingLoss(total, clean.parts | {"bend": bend.detach(), "tilt": tilt.detach()})
