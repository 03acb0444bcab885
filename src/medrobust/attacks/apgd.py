"""Auto-PGD: gradient ascent that chooses its own step size. Each published name is a choice of loss and goal."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from ..engine.abilities import Abilities, of_all
from ..engine.adaptive import Adaptive, Plateau, Sparse, far_point
from ..engine.ascend import ascend
from ..engine.keep import Keep, first_reached, fold, highest
from ..engine.program import Model, Program, clean_goal
from ..goals import Goal, GoalRule, Towards, as_classes, untargeted
from ..losses import Loss, cross_entropy, dlr, margin
from ..streams import Randomness, Streams, as_streams
from ..threat import Ball, Threat


def dlr_or_margin(logits: Tensor, goal: Goal) -> Tensor:
    """The DLR where it is defined, else the margin: with fewer than 3 classes (4 targeted) and multi-label heads."""
    defined = goal.labels.ndim == 1 and as_classes(logits[:1]).shape[1] >= (4 if goal.targeted else 3)
    return (dlr if defined else margin)(logits, goal)


def apgd(
    *,
    num_steps: int = 100,
    loss: Loss = cross_entropy,
    goal: GoalRule = untargeted,
    random_start: bool = True,
    keep: Keep = first_reached,
    rho: float = 0.75,
) -> Program:
    """Auto-PGD for linf, l2 and l1 (Croce & Hein 2020, arXiv:2003.01690; 2021, arXiv:2103.01208).

    The step rules are in `medrobust.engine.adaptive`.

    Args:
        num_steps: gradient steps; the step rule plans with them.
        loss, goal: parts; see `medrobust.losses`, `medrobust.goals`. Two classes have no DLR: take cross_entropy,
            margin or probability_margin.
        random_start: at the edge of the ball, as published; otherwise the image itself.
        keep: first_reached returns the first success, else the point of the highest loss; highest always the latter.
        rho: share of the steps between two checkpoints that must raise the loss.

    Errors: ValueError when num_steps < 1.

    Example:
        >>> apgd(num_steps=50).num_steps
        50
    """
    return Program(
        step=Adaptive(Plateau(rho=rho)),
        num_steps=num_steps,
        goal=goal,
        loss=loss,
        random_start=random_start,
        spread=far_point,
        keep=keep,
    )


def apgd_ce(*, num_steps: int = 100, goal: GoalRule = untargeted, keep: Keep = first_reached) -> Program:
    """APGD on the cross-entropy: the first attack of AutoAttack (Croce & Hein 2020, arXiv:2003.01690)."""
    return apgd(num_steps=num_steps, goal=goal, keep=keep)


def apgd_dlr(*, num_steps: int = 100, goal: GoalRule = untargeted, keep: Keep = first_reached) -> Program:
    """APGD on the DLR (arXiv:2003.01690); on the margin where that is undefined, with two classes."""
    return apgd(num_steps=num_steps, goal=goal, keep=keep, loss=dlr_or_margin)


def apgd_t(*, rank: int = 1, num_steps: int = 100, keep: Keep = first_reached) -> Program:
    """APGD on the targeted DLR, towards the wrong class that is the rank-th most likely one (arXiv:2003.01690).

    Any wrong answer is a success. With fewer than 4 classes, where that loss is undefined, it climbs the targeted
    margin. The published attack goes through the ranks 1 to 9: `worst_case([apgd_t(rank=k) for k in range(1, 10)])`.
    """
    return apgd(num_steps=num_steps, goal=Towards(rank), keep=keep, loss=dlr_or_margin)


@dataclass(frozen=True)
class LargerBallsFirst:
    """An attack that comes from larger balls: the l1 schedule of AutoAttack (Croce & Hein 2021, arXiv:2103.01208).

    30 % of the steps in the ball of 3 epsilon, 30 % in 2 epsilon, the rest in the ball itself, each part from the
    projection of the point of the highest loss of the part before. Only the last part can win.

    Args:
        program: a Program with the step rule Adaptive.
    """

    program: Program

    @property
    def goal(self) -> GoalRule:
        return self.program.goal

    @property
    def abilities(self) -> Abilities:
        return of_all((self.program,), approach=self.approach)

    def approach(self, model: Model, goal: Goal, ball: Ball, streams: Streams) -> tuple[Program, Tensor]:
        """The last part, and where it starts."""
        part = math.ceil(0.3 * self.program.num_steps)
        step = Adaptive(sparse=Sparse(first_share=None))
        program = replace(self.program, step=step, num_steps=part)
        x = program.first(ball._replace(radius=3 * ball.radius), streams)
        for factor in (3, 2):
            larger = ball._replace(radius=factor * ball.radius)
            x = _fold(program, highest, model, goal, larger, larger.project(x))
        return replace(program, num_steps=max(self.program.num_steps - 2 * part, 1)), ball.project(x)

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        generator: Randomness = None,
    ) -> Tensor:
        streams = as_streams(generator, len(x), x.device)
        goal, ball = clean_goal(self.goal, model, x, y), threat.around(x)
        program, start = self.approach(model, goal, ball, streams)
        return _fold(program, program.keep, model, goal, ball, start)


def apgd_larger_first(
    *, num_steps: int = 100, loss: Loss = cross_entropy, goal: GoalRule = untargeted
) -> LargerBallsFirst:
    """APGD that comes from larger balls (Croce & Hein 2021, arXiv:2103.01208), as AutoAttack runs it in l1.

    Args:
        num_steps, loss, goal: as of `apgd`; the steps are those of all balls together.

    Errors: ValueError when num_steps < 1.

    Example:
        >>> apgd_larger_first(num_steps=50).program.num_steps
        50
    """
    return LargerBallsFirst(apgd(num_steps=num_steps, loss=loss, goal=goal))


def _fold(program: Program, keep: Keep, model: Model, goal: Goal, ball: Ball, start: Tensor) -> Tensor:
    points = ascend(program.objective(model, goal), ball, start, program.step, program.num_steps, program.radius)
    return fold(keep, points, ball)
