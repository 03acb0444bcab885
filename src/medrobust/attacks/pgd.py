"""The signed-gradient family: each name of the literature is a choice of parts."""

from __future__ import annotations

from ..engine.keep import Keep, last
from ..engine.program import Program
from ..engine.steps import Momentum, Steepest
from ..goals import GoalRule, untargeted
from ..losses import Loss, cross_entropy, margin
from ..numbers import parse_number

Size = float | str | None  # text as "1/255" or "25%"


def pgd(
    *,
    num_steps: int = 20,
    step_size: Size = None,
    relative_step_size: Size = None,
    random_start: bool = True,
    goal: GoalRule = untargeted,
    loss: Loss = cross_entropy,
    keep: Keep = last,
) -> Program:
    """Projected gradient descent (Madry et al. 2018, arXiv:1706.06083).

    x <- project(x + step_size * steepest(grad loss)), from a random point of the ball. A step goes where the loss rises
    most for its length in the norm: the sign of the gradient for linf, the normalized gradient for l2, the largest
    coordinate for l1.

    Args:
        num_steps: gradient steps.
        step_size: in pixel units, as a number or as text ("1/255"); or
        relative_step_size: a share of epsilon. With neither, 2.5 / num_steps of epsilon, which can cross the ball.
        random_start: uniform in the ball; otherwise the image itself.
        goal, loss, keep: parts; see `medrobust.goals`, `medrobust.losses`, `medrobust.engine`.

    Errors: ValueError when num_steps < 1 or both step sizes are given.

    Example:
        >>> pgd(num_steps=10, relative_step_size=0.25).num_steps
        10
    """
    step = Steepest(*step_sizes(num_steps, step_size, relative_step_size, 2.5))
    return Program(step=step, num_steps=num_steps, goal=goal, loss=loss, random_start=random_start, keep=keep)


def step_sizes(num_steps: int, step_size: Size, relative: Size, way: float) -> tuple[float | None, float | None]:
    """The step size and the relative one as given; with neither, steps that go `way` times epsilon together.

    Errors: ValueError when both are given; UserError for a text that is no number.
    """
    step_size = None if step_size is None else parse_number(step_size, "step_size")
    relative = None if relative is None else parse_number(relative, "relative_step_size")
    if step_size is not None and relative is not None:
        raise ValueError("give step_size or relative_step_size, not both")
    if step_size is None and relative is None and num_steps > 0:
        relative = min(1.0, way / num_steps)
    return step_size, relative


def fgsm(*, goal: GoalRule = untargeted, loss: Loss = cross_entropy) -> Program:
    """Fast gradient sign method: one step as long as epsilon (Goodfellow et al. 2015, arXiv:1412.6572)."""
    return pgd(num_steps=1, relative_step_size=1.0, random_start=False, goal=goal, loss=loss)


def bim(
    *,
    num_steps: int = 10,
    step_size: Size = None,
    relative_step_size: Size = None,
    goal: GoalRule = untargeted,
    loss: Loss = cross_entropy,
    keep: Keep = last,
) -> Program:
    """Basic iterative method, I-FGSM: PGD from the image itself (Kurakin et al. 2017, arXiv:1607.02533).

    The default step is epsilon / num_steps, as published.
    """
    step_size, relative_step_size = step_sizes(num_steps, step_size, relative_step_size, 1.0)
    return pgd(
        num_steps=num_steps,
        step_size=step_size,
        relative_step_size=relative_step_size,
        random_start=False,
        goal=goal,
        loss=loss,
        keep=keep,
    )


def cw_linf(
    *,
    num_steps: int = 20,
    step_size: Size = None,
    relative_step_size: Size = None,
    random_start: bool = True,
    goal: GoalRule = untargeted,
    keep: Keep = last,
) -> Program:
    """PGD on the margin of Carlini & Wagner 2017 (arXiv:1608.04644), as Madry et al. 2018, section 5, use it."""
    return pgd(
        num_steps=num_steps,
        step_size=step_size,
        relative_step_size=relative_step_size,
        random_start=random_start,
        goal=goal,
        loss=margin,
        keep=keep,
    )


def mi_fgsm(
    *,
    num_steps: int = 10,
    step_size: Size = None,
    relative_step_size: Size = None,
    decay: float = 1.0,
    goal: GoalRule = untargeted,
    loss: Loss = cross_entropy,
    keep: Keep = last,
) -> Program:
    """Momentum iterative FGSM (Dong et al. 2018, arXiv:1710.06081).

    The default step is epsilon / num_steps, as published.
    """
    step = Momentum(*step_sizes(num_steps, step_size, relative_step_size, 1.0), decay=decay)
    return Program(step=step, num_steps=num_steps, goal=goal, loss=loss, keep=keep)
