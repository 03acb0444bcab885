"""TI-FGSM: gradients smoothed over neighboring pixels, for changes that carry over to models that are not at hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv1d

from ..engine.abilities import StepAbilities
from ..engine.ascend import Point, Step
from ..engine.keep import Keep, last
from ..engine.program import Program
from ..goals import GoalRule, untargeted
from ..losses import Loss, cross_entropy
from ..threat import Ball
from .pgd import Size, mi_fgsm


def smooth(x: Tensor, kernel_size: int, num_sigmas: float = 3.0) -> Tensor:
    """x (n, c, *spatial) convolved with a Gaussian along each spatial axis, zeros outside.

    The kernel has kernel_size pixels and ends num_sigmas standard deviations from its middle.

    Example:
        >>> float(smooth(torch.ones(1, 1, 9, 9), 3)[0, 0, 4, 4])
        1.0
    """
    at = torch.linspace(-num_sigmas, num_sigmas, kernel_size) if kernel_size > 1 else torch.zeros(1)
    kernel = torch.exp(-(at**2) / 2)
    kernel = (kernel / kernel.sum()).to(x)[None, None]
    for axis in range(2, x.ndim):
        lines = x.movedim(axis, -1)
        flat = lines.reshape(-1, 1, lines.shape[-1])
        x = conv1d(flat, kernel, padding=kernel_size // 2).reshape(lines.shape).movedim(-1, axis)
    return x


@dataclass(frozen=True)
class Smoothed:
    """A step rule that hands the smoothed gradient, in place of the gradient, to another step rule."""

    step: Step
    kernel_size: int

    @property
    def abilities(self) -> StepAbilities:
        return self.step.abilities

    def init(self, ball: Ball, num_steps: int) -> Any:
        return self.step.init(ball, num_steps)

    def __call__(self, point: Point, state: Any, ball: Ball) -> tuple[Tensor, Any]:
        return self.step(point.with_grad(smooth(point.grad, self.kernel_size)), state, ball)


def ti_fgsm(
    *,
    num_steps: int = 10,
    step_size: Size = None,
    relative_step_size: Size = None,
    decay: float = 1.0,
    kernel_size: int = 15,
    goal: GoalRule = untargeted,
    loss: Loss = cross_entropy,
    keep: Keep = last,
) -> Program:
    """Translation-invariant FGSM with momentum (Dong et al. 2019, arXiv:1904.02884).

    As `mi_fgsm`, with the gradient convolved with a Gaussian of kernel_size pixels before each step. Against the model
    it was made on it is weaker; it is meant as the search of `transfer`. decay=0 leaves the momentum out; kernel_size=1
    is `mi_fgsm`. Images and volumes; a kernel larger than the image is fine.

    Errors: ValueError for an even kernel_size or one below 1, or when both step sizes are given.

    Example:
        >>> ti_fgsm(kernel_size=7).step.kernel_size
        7
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd and positive, got {kernel_size}")
    plain = mi_fgsm(
        num_steps=num_steps,
        step_size=step_size,
        relative_step_size=relative_step_size,
        decay=decay,
        goal=goal,
        loss=loss,
        keep=keep,
    )
    return replace(plain, step=Smoothed(plain.step, kernel_size))
