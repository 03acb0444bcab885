"""Adversarial weight perturbation, around any objective."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..data.images.batch import Batch
from ..models.classifier import Classifier
from .base import TrainingLoss, TrainingObjective
from .distributed import joint_mean

TINY = 1e-12


class Awp(TrainingObjective):
    """The loss of another objective at weights moved to where it is larger (Wu et al. 2020, arXiv:2004.05884).

    Each weight tensor w (two dimensions or more) moves by gamma * |w| * g / |g|, g the gradient of the loss on the
    examples just found; the optimizer's step is taken from the unmoved weights, with the gradient at the moved ones.
    The first pass leaves the running statistics of batch norm alone.

    Args:
        objective: what is wrapped.
        gamma: share of its norm by which a weight tensor moves.
        warm_up: first epochs, in which no weight is moved.

    Errors: ValueError when gamma is negative, or the objective replays batches.
    """

    def __init__(self, objective: TrainingObjective, *, gamma: float = 0.005, warm_up: int = 0) -> None:
        if gamma < 0:
            raise ValueError(f"gamma must be 0 or larger, got {gamma}")
        if objective.num_replays != 1:
            raise ValueError("weights cannot be perturbed while a batch is replayed")
        super().__init__(seed=objective.seed)
        self.objective, self.gamma, self.warm_up = objective, gamma, warm_up
        self.robust, self.unlabeled, self.metric = objective.robust, objective.unlabeled, objective.metric
        self.second_order = objective.second_order
        self._unmoved: list[tuple[nn.Parameter, Tensor]] = []

    def search(self, model: Classifier, batch: Batch) -> Any:
        self.objective.stand_in = self.stand_in
        return self.objective.search(model, batch)

    def loss(self, model: Classifier, batch: Batch, found: Any) -> TrainingLoss:
        if self.gamma > 0 and int(self.epoch) >= self.warm_up:
            weights = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
            with kept_buffers(model):
                total = self.objective.loss(model, batch, found).total
                slopes = torch.autograd.grad(total, weights, allow_unused=True)
            self._move(weights, slopes)
        return self.objective.loss(model, batch, found)

    def _move(self, weights: list[nn.Parameter], slopes: tuple[Tensor | None, ...]) -> None:
        with torch.no_grad():
            for weight, slope in zip(weights, slopes, strict=True):
                if slope is not None:
                    slope = joint_mean(slope)
                    self._unmoved.append((weight, weight.detach().clone()))
                    weight.add_(slope * (self.gamma * weight.norm() / slope.norm().clamp_min(TINY)))

    def judge(self, model: Classifier, batches: Iterable[Batch]) -> dict[str, Any]:
        return self.objective.judge(model, batches)

    def after_backward(self) -> None:
        with torch.no_grad():
            for weight, before in self._unmoved:
                weight.copy_(before)
        self._unmoved.clear()
        self.objective.after_backward()

    def end_epoch(self) -> None:
        super().end_epoch()
        self.objective.end_epoch()


@contextmanager
def kept_buffers(model: nn.Module) -> Iterator[None]:
    """Inside the context buffers may change; after it they are as before.

    So an extra pass leaves no trace in the running statistics.
    """
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    yield
    with torch.no_grad():
        for buffer, value in before:
            buffer.copy_(value)
