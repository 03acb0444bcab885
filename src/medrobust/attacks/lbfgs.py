"""The oldest attacks: box-constrained L-BFGS, and one step towards a chosen class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..engine.abilities import Abilities
from ..engine.ascend import Point, against
from ..engine.keep import Kept
from ..engine.program import Model, Program
from ..engine.tree import choose
from ..goals import GoalRule, LeastLikely, or_wrong, untargeted
from ..losses import cross_entropy
from ..streams import Randomness
from ..threat import Threat
from .parts.hyperplanes import room
from .parts.turns import PenaltyWeight, Task, Turn, closest, task, within
from .pgd import fgsm

_LARGEST = 1e10


class LbfgsState(NamedTuple):
    """One minimization per sample, somewhere in its line search, inside the search for its constant.

    x, grad (n, d), value (n,): the point reached; direction (n, d) and size (n,): the trial step from it; moves, turns
    (n, h, d): the last h changes of x and of grad; k (n,): gradients of this search. Lengths are in units of the width
    of the domain.
    """

    x: Tensor
    grad: Tensor
    value: Tensor
    reached: Tensor
    direction: Tensor
    size: Tensor
    moves: Tensor
    turns: Tensor
    k: Tensor
    constant: PenaltyWeight
    searches: Tensor


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1)


def descent(grad: Tensor, moves: Tensor, turns: Tensor) -> Tensor:
    """-H grad, H the inverse Hessian that the last moves and turns suggest, latest first: the two-loop recursion.

    (n, d), (n, h, d), (n, h, d) -> (n, d). Pairs of zero count as absent. Nocedal 1980,
    doi:10.1090/S0025-5718-1980-0572855-7.
    """
    curvature = _dot(moves, turns)
    rho = torch.where(curvature > 0, 1 / curvature, 0)
    q, shares = grad, []
    for j in range(moves.shape[1]):
        shares.append(rho[:, j] * _dot(moves[:, j], q))
        q = q - shares[-1][:, None] * turns[:, j]
    scale = curvature[:, 0] / _dot(turns[:, 0], turns[:, 0])
    q = q * torch.where(curvature[:, 0] > 0, scale, 1)[:, None]
    for j in reversed(range(moves.shape[1])):
        q = q + (shares[j] - rho[:, j] * _dot(turns[:, j], q))[:, None] * moves[:, j]
    return -q


@dataclass(frozen=True, kw_only=True)
class Lbfgs:
    """Box-constrained L-BFGS, the first attack of all (Szegedy et al. 2014, arXiv:1312.6199).

    Rodriguez et al. 2022 (doi:10.1186/s12911-022-01891-w) describe it for medical images.

    Minimizes ||d||_2^2 + c loss(x + d, target) over low <= x + d <= high, for the smallest c whose minimizer reaches
    the goal: times 10 until one does, then by halves (the paper divides by c and squares nothing: the same
    minimizers). The loss is the cross-entropy, minus that of the label when there is no target; the paper always has
    one: `goal=LeastLikely()`.

    A projected quasi-Newton method: pixels at an edge that the gradient pushes outwards stay, the others move along
    the L-BFGS direction (Liu & Nocedal 1989, doi:10.1007/BF01589116), backtracking until the loss falls enough. Each
    image is a problem of its own, all in one batch. Returns the nearest point that reached the goal; beyond a finite
    epsilon, its projection.

    Args:
        num_steps: gradients of one search, at most.
        num_searches: constants tried, counted from the first that wins.
        first_constant: c of the first search, for d in units of the width of the domain.
        memory: steps that the quasi-Newton method remembers; each takes two images of memory.
        goal: see `medrobust.goals`.

    Errors: ValueError for a norm other than l2, or counts below 1.

    Example:
        >>> from medrobust.norms import L2
        >>> x = torch.full((1, 1, 2, 2), 0.25)
        >>> x_adv = lbfgs()(lambda x: 1.8 - x.flatten(1).sum(1), x, torch.tensor([1]), Threat(norm=L2()))
        >>> round(float((x_adv - x).norm()), 2)  # 0.8 / sqrt(4)
        0.4
    """

    num_steps: int = 100
    num_searches: int = 9
    first_constant: float = 1e-2
    memory: int = 5
    goal: GoalRule = untargeted

    @property
    def abilities(self) -> Abilities:
        return Abilities(kind="minimal", norms=("l2",), keeping=self._keeping)

    def _keeping(self) -> Lbfgs:
        return replace(self, goal=or_wrong(self.goal))

    def __post_init__(self) -> None:
        for name in ("num_steps", "num_searches", "memory"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        generator: Randomness = None,
    ) -> Tensor:
        if threat.norm.name != "l2":
            raise ValueError(f"lbfgs is defined for l2, got {threat.norm.name}")
        job = task(self.goal, model, x, y, threat)
        # Constants that are too small end their search after a few steps, so they are not counted among num_searches.
        num_turns = self.num_steps * (self.num_searches + 12)
        return within(job.ball, closest(model, job, self._begin, self._turn, num_turns))

    def _begin(self, job: Task) -> LbfgsState:
        like = job.ball.radius
        center = job.ball.center.flatten(1) / (job.ball.domain[1] - job.ball.domain[0])
        history = torch.zeros_like(center)[:, None].expand(-1, self.memory, -1).contiguous()
        return LbfgsState(
            x=center,
            grad=torch.zeros_like(center),
            value=torch.full_like(like, torch.inf),
            reached=torch.zeros_like(like, dtype=torch.bool),
            direction=torch.zeros_like(center),
            size=torch.zeros_like(like),
            moves=history,
            turns=history,
            k=torch.zeros_like(like),
            constant=PenaltyWeight.start(self.first_constant, like),
            searches=torch.zeros_like(like),
        )

    def _turn(self, model: Model, job: Task, state: LbfgsState, kept: Kept) -> Turn:
        """A gradient at the trial point: accept it and choose a direction, or try nearer."""
        ball, center = job.ball, job.ball.center
        width = ball.domain[1] - ball.domain[0]
        low, high = (bound.flatten(1) / width for bound in room(ball, center))
        flat = center.flatten(1) / width
        change, c = (state.x + state.size[:, None] * state.direction - flat).clamp(low, high), state.constant.c
        trial = flat + change
        at = (center + width * change.reshape_as(center)).clamp(*ball.domain)
        point = Point(at, against(model, job.goal, cross_entropy))
        grad = 2 * change - c[:, None] * width * point.grad.flatten(1)
        value = change.square().sum(1) - c * point.score.value
        move = trial - state.x
        # The first trial is the start itself: its value is below infinity, its move zero.
        accepted = value <= state.value + 1e-4 * _dot(state.grad, move)
        improved = state.value - value
        new = self._accept(state, trial, grad, value, point.score.reached, low + flat, high + flat)
        state = choose(accepted, new, state._replace(size=state.size / 2, k=state.k + 1))
        flat_bottom = accepted & (improved <= 1e-7 * value.abs())
        stationary = accepted & (state.direction == 0).all(1)
        short = state.size * state.direction.abs().amax(1) < 1e-8
        over = flat_bottom | stationary | short | (state.k >= self.num_steps)
        if bool(over.any()):
            constant = state.constant.after(state.reached)
            searches = state.searches + constant.high.isfinite()
            state = choose(over, self._begin(job)._replace(constant=constant, searches=searches), state)
        return Turn((point,), state, (state.searches == self.num_searches) | (state.constant.c > _LARGEST))

    def _accept(
        self, state: LbfgsState, x: Tensor, grad: Tensor, value: Tensor, reached: Tensor, low: Tensor, high: Tensor
    ) -> LbfgsState:
        move, turn = x - state.x, grad - state.grad
        # Only pairs of positive curvature keep the inverse Hessian positive.
        good = _dot(move, turn) > 1e-10 * _dot(turn, turn)
        latest = [
            torch.cat([pair[:, None], old[:, :-1]], 1) for pair, old in ((move, state.moves), (turn, state.turns))
        ]
        moves, turns = choose(good, tuple(latest), (state.moves, state.turns))
        free = torch.where(grad > 0, x > low, x < high).to(grad)
        direction = descent(grad * free, moves * free[:, None], turns * free[:, None]) * free
        downhill = _dot(direction, grad) < 0
        direction = torch.where(downhill[:, None], direction, -grad * free)
        # A size of 1 means something only after a pair of positive curvature. Else begin with a thousandth of the
        # domain in the pixel that moves most, and go twice as far each time the loss bends down.
        longest = (2 * move.abs().amax(1)).clamp_min(1e-3 * (high - low).flatten(1).amax(1))
        size = longest / direction.abs().amax(1).clamp_min(torch.finfo(grad.dtype).tiny)
        size = torch.where(good & downhill, torch.ones_like(size), size)
        return LbfgsState(
            x, grad, value, reached, direction, size, moves, turns, state.k + 1, state.constant, state.searches
        )


lbfgs = Lbfgs


def one_step_target(*, goal: GoalRule = LeastLikely()) -> Program:  # noqa: B008 - frozen
    """One-step target class method: x - epsilon sign(grad cross-entropy(x, target)).

    FGSM towards a class (Kurakin et al. 2017, arXiv:1611.01236), the least likely one by default. Rodriguez et al. 2022
    (doi:10.1186/s12911-022-01891-w, equations 2 and 3) take the least likely of all classes, the label included:
    `goal=LeastLikely(exclude_label=False)`. With two classes that corrects the images that are classified wrongly.

    Example:
        >>> x = torch.full((1, 1, 2, 2), 0.25)
        >>> x_adv = one_step_target()(lambda x: 1.8 - x.flatten(1).sum(1), x, torch.tensor([1]), Threat(epsilon=0.25))
        >>> x_adv.unique()
        tensor([0.5000])
    """
    return fgsm(goal=goal)
