"""Adversarial training at the price of one or two gradients per step."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..attacks import pgd
from ..data.images.batch import Batch
from ..engine.ascend import Point, against
from ..goals import Goal
from ..losses import cross_entropy
from ..models.classifier import Classifier
from ..threat import Ball, Threat
from .adversarial import AgainstAttack
from .base import TrainingLoss, adversarial_loss
from .epsilon import EpsilonRule

KINDS = ("fgsm_rs", "n_fgsm", "grad_align")


class Fast(AgainstAttack):
    """CE of the images after one gradient step. Watch for collapse: robust accuracy can fall to zero within an epoch.

    fgsm_rs: uniform start, one step of step_size * epsilon, projected (Wong et al. 2020, arXiv:2001.03994).
    n_fgsm: uniform noise of `noise` * epsilon, a step of step_size * epsilon from there, clipped to the domain only, so
        up to (noise + step_size) * epsilon from the image (de Jorge et al. 2022, arXiv:2202.01181).
    grad_align: FGSM, plus align_weight * (1 - cosine) of the slopes at the image and at a random point of the ball
        (Andriushchenko & Flammarion 2020, arXiv:2007.02617); a second backward pass.

    Args:
        kind: fgsm_rs, n_fgsm or grad_align.
        step_size: in units of epsilon; by default 1.25 for fgsm_rs, else 1.
        noise, align_weight: see above.
        threat, epsilon, seed: see AgainstAttack.

    Errors: ValueError for an unknown kind.
    """

    full_budget = True

    def __init__(
        self,
        threat: Threat,
        *,
        kind: str = "n_fgsm",
        step_size: float | None = None,
        noise: float = 2.0,
        align_weight: float = 0.2,
        epsilon: EpsilonRule | None = None,
        seed: int = 0,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"unknown kind {kind!r}; valid: {', '.join(KINDS)}")
        size = (1.25 if kind == "fgsm_rs" else 1.0) if step_size is None else step_size
        one_step = pgd(num_steps=1, relative_step_size=size, random_start=kind == "fgsm_rs")
        super().__init__(threat, attack=one_step, epsilon=epsilon, seed=seed)
        self.kind, self.step_size, self.noise, self.align_weight = kind, size, noise, align_weight
        self.second_order = kind == "grad_align"

    def search(self, model: Classifier, batch: Batch) -> Any:
        if self.kind != "n_fgsm":
            return super().search(model, batch)
        threat = self.threat_of(batch)
        budget = torch.as_tensor(threat.epsilon)
        start = dataclasses.replace(threat, epsilon=self.noise * budget).around(batch.x).sample(self.streams(batch))
        with self.searching(model) as still:
            point = Point(start, against(still, Goal(batch.y, False), cross_entropy))
            ball = threat.around(batch.x)
            step = ball.move(point.grad, start, self.step_size * budget)
        return (start + step).clamp(*threat.domain)

    def loss(self, model: Classifier, batch: Batch, found: Tensor) -> TrainingLoss:
        loss = adversarial_loss(model(found), batch.y)
        if self.kind != "grad_align":
            return loss
        other = self.threat_of(batch).around(batch.x).sample(self.streams(batch).child("align"))
        slopes = [self._slope(model, x, batch.y) for x in (batch.x, other)]
        cosine = F.cosine_similarity(slopes[0].flatten(1), slopes[1].flatten(1), dim=1).mean()
        parts = loss.parts | {"alignment": cosine.detach()}
        return TrainingLoss(loss.total + self.align_weight * (1 - cosine), parts)

    def _slope(self, model: Classifier, x: Tensor, y: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        value = F.cross_entropy(model(x), y, reduction="sum")
        (slope,) = torch.autograd.grad(value, x, create_graph=True)
        return slope


class Free(AgainstAttack):
    """Each batch is trained on num_replays times; the same backward pass moves the weights and the perturbation.

    Shafahi et al. 2019 (arXiv:1904.12843): d <- project(d + epsilon * steepest(grad)). Gradients are those of training
    mode, as nothing else is computed. Their perturbation is carried over to the next, unrelated batch; ours starts
    anew at a random point of the ball, so that no state outlives a batch. Give num_replays times fewer epochs for
    equal cost.

    Args:
        num_replays: m in the paper.
        step_size: in units of epsilon.
        threat, epsilon, seed: see AgainstAttack.

    Errors: ValueError when num_replays < 1.
    """

    full_budget = True

    def __init__(
        self,
        threat: Threat,
        *,
        num_replays: int = 4,
        step_size: float = 1.0,
        epsilon: EpsilonRule | None = None,
        seed: int = 0,
    ) -> None:
        if num_replays < 1:
            raise ValueError(f"num_replays must be 1 or more, got {num_replays}")
        super().__init__(threat, epsilon=epsilon, seed=seed)
        self.num_replays, self.step_size = num_replays, step_size
        self._replay = 0
        self._ball: Ball | None = None
        self._x = torch.empty(0)

    def search(self, model: Classifier, batch: Batch) -> Tensor:
        if self._replay == 0:
            self._ball = self.threat_of(batch).around(batch.x)
            self._x = self._ball.sample(self.streams(batch))
        self._x = self._x.detach().requires_grad_()
        return self._x

    def loss(self, model: Classifier, batch: Batch, found: Tensor) -> TrainingLoss:
        return adversarial_loss(model(found), batch.y)

    def after_backward(self) -> None:
        super().after_backward()
        ball, x = self._ball, self._x
        if ball is not None and x.grad is not None:
            step = ball.move(x.grad, x.detach(), self.step_size * ball.radius)
            self._x = ball.project(x.detach() + step)
        self._replay = (self._replay + 1) % self.num_replays
