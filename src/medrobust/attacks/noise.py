"""Noise as a baseline: what bad luck, without an adversary, does within the same budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..engine.abilities import Abilities
from ..engine.program import Model
from ..goals import GoalRule, or_wrong, untargeted
from ..norms import per_sample
from ..streams import Randomness, Streams, as_streams
from ..threat import Ball, Threat
from .combine import WorstCase, restarts

Draw = Callable[[Ball, Streams], Tensor]


def _fill(ball: Ball, d: Tensor) -> Tensor:
    """center + d, with d scaled to the size of the radius."""
    size = ball.norm.size(d).clamp_min(torch.finfo(d.dtype).tiny)
    return ball.project(ball.center + d * per_sample(ball.radius / size, d))


def _allowed(ball: Ball, d: Tensor) -> Tensor:
    return d if ball.mask is None else torch.where(ball.mask, d, 0)


def _gaussian(ball: Ball, streams: Streams) -> Tensor:
    return _fill(ball, _allowed(ball, streams.normal(ball.center)))


def _rician(ball: Ball, streams: Streams) -> Tensor:
    """The size grows with sigma, so the sigma that fills the budget is found by bisection, without asking the model."""
    low, high = ball.domain
    signal = ball.center - low
    real = streams.child("real").normal(ball.center)
    imaginary = streams.child("imaginary").normal(ball.center)

    def noisy(sigma: Tensor) -> Tensor:
        spread = per_sample(sigma, signal)
        magnitude = torch.hypot(signal + spread * real, spread * imaginary)
        return _allowed(ball, (low + magnitude).clamp(low, high) - ball.center)

    below = torch.zeros_like(ball.radius)
    above = torch.full_like(ball.radius, high - low)
    for _ in range(30):
        middle = (below + above) / 2
        fits = ball.norm.size(noisy(middle)) <= ball.radius
        below, above = torch.where(fits, middle, below), torch.where(fits, above, middle)
    return ball.project(ball.center + noisy(below))


@dataclass(frozen=True)
class Noise:
    """One draw of noise, whatever the model says of it."""

    draw: Draw
    goal: GoalRule = untargeted

    @property
    def abilities(self) -> Abilities:
        return Abilities(needs="labels", randomized=True, keeping=self._keeping)

    def _keeping(self) -> Noise:
        return replace(self, goal=or_wrong(self.goal))

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        generator: Randomness = None,
    ) -> Tensor:
        ball = threat.around(x)
        # An unlimited budget means the whole domain.
        ball = ball._replace(radius=torch.minimum(ball.radius, ball.farthest()))
        return self.draw(ball, as_streams(generator, len(x), x.device).child("noise"))


def uniform_noise(*, num_draws: int = 10, goal: GoalRule = untargeted) -> WorstCase:
    """A point uniform in the norm ball, then clipped to the domain; the best of num_draws.

    Needs only the decision of the model. A draw that reaches the goal ends the tries of its image; without one, the
    last draw is returned.

    Args:
        num_draws: tries per image, one forward each.
        goal: see `medrobust.goals`.

    Errors: ValueError when num_draws < 1.

    Example:
        >>> x = torch.full((1, 1, 4, 4), 0.5)
        >>> x_adv = uniform_noise()(lambda x: x.flatten(1)[:, :2], x, torch.tensor([0]), Threat(epsilon=0.1))
        >>> bool((x_adv - x).abs().amax() <= 0.1)
        True
    """
    return restarts(Noise(Ball.sample, goal), num_draws)


def gaussian_noise(*, num_draws: int = 10, goal: GoalRule = untargeted) -> WorstCase:
    """Gaussian noise scaled to the size of the budget, then clipped to the domain; the best of num_draws.

    In linf the largest of all pixels fills the budget, so the standard deviation is well below epsilon.
    See `uniform_noise` for arguments and errors.
    """
    return restarts(Noise(_gaussian, goal), num_draws)


def rician_noise(*, num_draws: int = 10, goal: GoalRule = untargeted) -> WorstCase:
    """Noise of magnitude images (MRI): |x + sigma (n1 + i n2)|, sigma filling the budget; the best of num_draws.

    Where the signal is strong it is nearly Gaussian, where there is none it only brightens (Gudbjartsson & Patz 1995,
    doi:10.1002/mrm.1910340618). The lowest value of the domain is taken for no signal.
    See `uniform_noise` for arguments and errors.
    """
    return restarts(Noise(_rician, goal), num_draws)
