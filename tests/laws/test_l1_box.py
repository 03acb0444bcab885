"""The projection on an l1 ball and a box at once: inside both, nearest, idempotent."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medrobust.norms import L1
from medrobust.streams import Streams
from medrobust.threat import Threat


def problem(seed: int, num_pixels: int, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    streams = Streams.of(seed, range(4))
    like = torch.zeros(4, num_pixels, dtype=torch.float64)
    # Rounded, so that equal magnitudes and centers on the edge of the domain occur.
    d = (scale * streams.child("d").normal(like) * 8).round() / 8
    center = (streams.child("center").uniform(like) * 4).round() / 4
    return d, -center, 1 - center


def by_bisection(d: Tensor, radius: float, low: Tensor, high: Tensor) -> Tensor:
    room = torch.where(d > 0, high, -low)
    small, large = torch.zeros(len(d), 1), d.abs().amax(1, keepdim=True)
    for _ in range(200):
        middle = (small + large) / 2
        size = torch.minimum((d.abs() - middle).clamp_min(0), room)
        over = size.sum(1, keepdim=True) > radius
        small, large = torch.where(over, middle, small), torch.where(over, large, middle)
    fits = torch.minimum(d.abs(), room).sum(1, keepdim=True) <= radius
    shrink = torch.where(fits, 0, large)
    return d.sign() * torch.minimum((d.abs() - shrink).clamp_min(0), room)


cases = given(st.integers(0, 2**32), st.integers(1, 40), st.floats(0.1, 3), st.floats(0, 8))


@cases
@settings(max_examples=200, deadline=None)
def test_it_is_the_point_that_bisection_finds(seed: int, num_pixels: int, scale: float, radius: float) -> None:
    d, low, high = problem(seed, num_pixels, scale)
    got = L1().project_box(d, radius, low, high)
    torch.testing.assert_close(got, by_bisection(d, radius, low, high), rtol=0, atol=1e-9)


@cases
@settings(max_examples=100, deadline=None)
def test_inside_both_and_idempotent_in_float32(seed: int, num_pixels: int, scale: float, radius: float) -> None:
    d, low, high = (tensor.float() for tensor in problem(seed, num_pixels, scale))
    got = L1().project_box(d, radius, low, high)
    assert bool(((got >= low) & (got <= high)).all())
    assert bool((got.double().abs().sum(1) <= radius * (1 + 1e-6) + 1e-9).all())
    torch.testing.assert_close(L1().project_box(got, radius, low, high), got, rtol=0, atol=1e-6)


@given(st.integers(0, 2**32), st.floats(0.01, 4))
@settings(max_examples=100, deadline=None)
def test_no_other_allowed_point_is_nearer(seed: int, radius: float) -> None:
    d, low, high = problem(seed, 12, 1.0)
    got = L1().project_box(d, radius, low, high)
    streams = Streams.of(seed, range(4)).child("others")
    for other in range(20):
        point = L1().sample(d, radius, streams.child(other)).clamp(low, high)
        # The projection z on a convex set has <d - z, p - z> <= 0 for every p of the set.
        assert bool((((d - got) * (point - got)).sum(1) <= 1e-9).all())


def test_more_of_the_budget_is_used_than_by_clipping_after_the_projection() -> None:
    d, low, high = torch.tensor([[3.0, 1.0]]), torch.zeros(1, 2), torch.full((1, 2), 0.5)
    assert L1().project(d, 1.0).clamp(low, high).sum() == 0.5
    assert L1().project_box(d, 1.0, low, high).sum() == 1.0


def test_a_ball_projects_exactly_and_honors_the_mask() -> None:
    streams = Streams.of(0, range(3))
    x = streams.uniform(torch.zeros(3, 1, 6, 6))
    mask = torch.zeros(1, 1, 6, 6, dtype=torch.bool)
    mask[..., :4] = True
    ball = Threat(epsilon=torch.tensor([0.0, 2.0, math.inf]), norm=L1(), mask=mask).around(x)
    far = x + 0.5 * streams.child("far").normal(x)
    near = ball.project(far)
    assert bool(ball.contains(near, tolerance=1e-6).all())
    assert torch.equal(near[0], x[0])
    assert abs(float(ball.distance(near)[1]) - 2.0) < 1e-5
    assert torch.equal(near[2][mask[0]], far[2].clamp(0, 1)[mask[0]])
