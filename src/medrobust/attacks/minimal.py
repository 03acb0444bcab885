"""Minimal-norm attacks made of parts: a step rule walks along the boundary, a radius rule decides how far to look."""

from __future__ import annotations

import torch
from torch import Tensor

from ..engine.ascend import Point, Step, against
from ..engine.keep import smallest_success
from ..engine.program import Model, Program
from ..engine.radii import Ddn, Fmn
from ..engine.steps import CosineL2, CosineThenSteepest, slope
from ..goals import Goal, GoalRule, untargeted
from ..losses import Loss, cross_entropy, margin
from ..norms import Norm
from ..threat import Ball, Threat


def ddn(
    *,
    num_steps: int = 100,
    gamma: float = 0.05,
    first_radius: float = 1.0,
    goal: GoalRule = untargeted,
    loss: Loss = cross_entropy,
) -> Program:
    """Decoupled direction and norm (Rony et al. 2019, arXiv:1811.09600).

    d <- d + size * grad / ||grad||_2, then onto the sphere of radius r; r <- (1 - gamma) r where the point reached the
    goal, else (1 + gamma) r. Returns the nearest point that reached the goal, the image itself where none did. A finite
    epsilon bounds r.

    The paper defines it for l2. In linf and l1 the ball replaces the sphere where the step leaves it, and the first
    radius is that of the change of equal size in every pixel. The paper rounds to 256 levels; this does not.

    Args:
        num_steps: gradient steps; one more forward scores the last point.
        gamma: relative change of the radius per step.
        first_radius: Euclidean, in units of the width of the domain.
        goal, loss: parts; see `medrobust.goals`, `medrobust.losses`.

    Errors: ValueError when num_steps < 1.

    Example:
        >>> from medrobust.norms import L2
        >>> x = torch.full((1, 1, 2, 2), 0.25)
        >>> x_adv = ddn()(lambda x: 1.8 - x.flatten(1).sum(1), x, torch.tensor([1]), Threat(norm=L2()))
        >>> round(float((x_adv - x).norm()), 2)  # 0.8 / sqrt(4)
        0.4
    """
    step = CosineL2(onto_sphere=True)
    return Program(
        step=step, num_steps=num_steps, goal=goal, loss=loss, keep=smallest_success, radius=Ddn(gamma, first_radius)
    )


def fmn(
    *,
    num_steps: int = 100,
    step_size: float = 1.0,
    last_step_size: float | None = None,
    gamma: float = 0.05,
    last_gamma: float = 0.001,
    steepest_after: float = 1.0,
    goal: GoalRule = untargeted,
) -> Program:
    """Fast minimum-norm attack for linf, l2 and l1 (Pintor et al. 2021, arXiv:2102.12827).

    d <- project(d + size * grad margin / ||grad margin||_2, r); r follows the linear estimate of the distance to the
    boundary until a point reached the goal, then shrinks by gamma on success and grows by gamma on failure. Returns the
    nearest point that reached the goal, the image itself where none did. A finite epsilon bounds r. `start` may be a
    point that reached the goal.

    Args:
        num_steps: gradient steps; one more forward scores the last point.
        step_size, last_step_size: Euclidean, in units of the width of the domain; by default the last is a hundredth
            of the first.
        gamma, last_gamma: relative change of the radius, first and last.
        steepest_after: share of the steps after which they go along the steepest direction of the norm, with a length
            relative to the radius (not in the paper, nor in l1). 0.3 finds in 50 steps about what 100 find without.
        goal: see `medrobust.goals`.

    Errors: ValueError when num_steps < 1.

    Example:
        >>> fmn(num_steps=30).num_steps
        30
    """
    last = step_size / 100 if last_step_size is None else last_step_size
    step: Step = CosineL2(step_size, last)
    if steepest_after < 1:
        step = CosineThenSteepest(step_size, last, steepest_after)
    return Program(
        step=step, num_steps=num_steps, goal=goal, loss=margin, keep=smallest_success, radius=Fmn(gamma, last_gamma)
    )


def linear_estimate(
    model: Model,
    x: Tensor,
    goal: Goal,
    norm: Norm | str = "linf",
    *,
    mask: Tensor | None = None,
) -> Tensor:
    """(n,) the distance to the decision boundary if the margin were linear: -margin(x) / ||grad margin||_dual.

    Costs one gradient per image. Exact for linear models away from the edge of the domain; elsewhere a start for a
    bracket. 0 where the goal is reached, inf where the gradient is zero.

    Example:
        >>> x, goal = torch.tensor([[[0.5, 0.25]]]), Goal(torch.tensor([1]), False)
        >>> linear_estimate(lambda x: x.flatten(1).sum(1), x, goal)
        tensor([0.3750])
    """
    ball: Ball = Threat(norm=norm, mask=mask).around(x)
    point = Point(x, against(model, goal, margin))
    distance = -point.score.value / ball.norm.dual_size(slope(point, ball))
    return torch.where(point.score.reached, 0, distance.nan_to_num(torch.inf, torch.inf))
