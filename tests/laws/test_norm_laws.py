"""What must hold for every norm, whatever the numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from medrobust.norms import NORMS, Norm, per_sample
from medrobust.streams import Streams

EXTREME = (0.0, -0.0, 1e-30, -1e-30, 1e-7, 1.0, -1.0, 1e4)
SHAPES = ((1, 1), (3, 4), (2, 1, 5), (2, 3, 2, 2), (2, 1, 2, 3, 2))
norms = pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)


@st.composite
def perturbations(draw: st.DrawFn, dtype: torch.dtype = torch.float64) -> Tensor:
    """Any small batch: Gaussian at any scale, with some elements replaced by extreme values and ties."""
    shape = draw(st.sampled_from(SHAPES))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    d = torch.randn(shape, generator=random, dtype=torch.float64) * 10 ** draw(st.floats(-9, 2))
    for position, value in draw(st.lists(st.tuples(st.integers(0, 99), st.sampled_from(EXTREME)), max_size=4)):
        d.view(-1)[position % d.numel()] = value
    if draw(st.booleans()):
        d = d.round(decimals=1)
    return d.to(dtype)


radii = st.one_of(st.just(0.0), st.just(float("inf")), st.floats(1e-8, 1e3))


def inner(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1)


@norms
@given(d=perturbations(), radius=radii)
def test_projection_is_inside_and_idempotent(norm: Norm, d: Tensor, radius: float) -> None:
    once = norm.project(d, radius)
    assert bool((norm.size(once) <= radius * (1 + 1e-12)).all())
    torch.testing.assert_close(norm.project(once, radius), once, rtol=1e-12, atol=0)
    assert once.shape == d.shape
    assert once.dtype == d.dtype


@norms
@given(d=perturbations())
def test_projection_leaves_alone_what_is_inside(norm: Norm, d: Tensor) -> None:
    assert torch.equal(norm.project(d, norm.size(d) * (1 + 1e-12)), d)


@norms
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("units", [1, 10, 1000])
def test_projection_from_far_onto_a_small_ball_is_inside(norm: Norm, dtype: torch.dtype, units: int) -> None:
    """Nearly equal pixels far from a ball that their rounding does not resolve: what the projection leaves of each is
    a difference in which all digits cancel."""
    eps = torch.finfo(dtype).eps
    d = 1 + 4 * eps * torch.randn(4, 1, 1000, dtype=dtype)
    size = norm.size(norm.project(d, units * eps).double())
    assert bool((size <= units * eps * (1 + 1000 * eps)).all())  # a sum of 1000 pixels is rounded so often


@norms
@given(d=perturbations(), radius=radii.filter(lambda r: r < 1e9), seed=st.integers(0, 999))
def test_projection_is_nearest(norm: Norm, d: Tensor, radius: float, seed: int) -> None:
    once = norm.project(d, radius)
    rest = d - once
    # Optimality certificate: no point of the ball lies further along the rest than the projection does.
    slack = radius * norm.dual_size(rest) - inner(rest, once)
    scale = d.flatten(1).norm(dim=1) * d.flatten(1).norm(dim=1).clamp_min(radius) + 1e-300
    assert bool((slack <= 1e-12 * scale).all())
    for number in range(20):
        other = norm.sample(d, radius, Streams.of(seed, range(len(d))).child(number))
        assert bool((rest.flatten(1).norm(dim=1) <= (d - other).flatten(1).norm(dim=1) * (1 + 1e-12)).all())


@norms
@given(d=perturbations(), scale=st.floats(0.1, 10))
def test_radius_is_per_sample(norm: Norm, d: Tensor, scale: float) -> None:
    radius = norm.size(d) * torch.linspace(0.1, scale, len(d), dtype=torch.float64)
    together = norm.project(d, radius)
    for i in range(len(d)):
        assert torch.equal(together[i : i + 1], norm.project(d[i : i + 1], float(radius[i])))


@norms
@given(g=perturbations())
def test_steepest_attains_the_dual_norm(norm: Norm, g: Tensor) -> None:
    v = norm.steepest(g)
    assert bool((norm.size(v) <= 1 + 1e-12).all())
    torch.testing.assert_close(inner(g, v), norm.dual_size(g), rtol=1e-12, atol=0)


@norms
@given(g=perturbations(), seed=st.integers(0, 999))
def test_no_point_of_the_unit_ball_is_steeper(norm: Norm, g: Tensor, seed: int) -> None:
    for number in range(20):
        other = norm.sample(g, 1.0, Streams.of(seed, range(len(g))).child(number))
        assert bool((inner(g, other) <= norm.dual_size(g) * (1 + 1e-12)).all())


@norms
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steepest_of_zero_and_of_tiny_gradients(norm: Norm, dtype: torch.dtype) -> None:
    assert torch.equal(norm.steepest(torch.zeros(2, 3, 2, dtype=dtype)), torch.zeros(2, 3, 2, dtype=dtype))
    for scale in (1e-20, 1e-30, 1e-37, 1e-41):
        size = norm.size(norm.steepest(torch.tensor([[scale, -scale, scale / 2]], dtype=dtype)))
        torch.testing.assert_close(size, torch.ones(1, dtype=dtype), rtol=1e-3, atol=0)


@norms
@given(d=perturbations(), factor=st.sampled_from((0.0, -1.0, 1e-3, -0.3, 7.0, 1e3)))
def test_size_is_a_norm(norm: Norm, d: Tensor, factor: float) -> None:
    size = norm.size(d)
    torch.testing.assert_close(norm.size(d * factor), size * abs(factor), rtol=1e-9, atol=1e-300)
    other = d.flip(-1)
    assert bool((norm.size(d + other) <= (size + norm.size(other)) * (1 + 1e-12)).all())
    torch.testing.assert_close(norm.size(other), size, rtol=1e-12, atol=0)
    assert size.shape == (len(d),)


def test_sizes_by_hand() -> None:
    d, g = torch.tensor([[3.0, -4.0]]), torch.tensor([[1.0, -2.0]])
    assert [float(norm.size(d)) for norm in NORMS.values()] == [4, 5, 7]
    assert [float(norm.dual_size(d)) for norm in NORMS.values()] == [7, 5, 4]
    assert NORMS["linf"].steepest(g).tolist() == [[1, -1]]
    assert NORMS["l1"].steepest(g).tolist() == [[0, -1]]
    assert all(NORMS[name].name == name for name in NORMS)


@norms
@pytest.mark.parametrize("shape", [(1,), (5,), (3, 4, 4)])
def test_samples_are_inside_and_uniform(
    norm: Norm, shape: tuple[int, ...], is_uniform: Callable[[Tensor], bool]
) -> None:
    num_samples, radius = 4000, 0.3
    d = norm.sample(torch.zeros(num_samples, *shape, dtype=torch.float64), radius, Streams.of(1, range(num_samples)))
    size = norm.size(d) / radius
    assert bool((size <= 1 + 1e-12).all())
    # The share of the volume within t of the center is t to the number of dimensions.
    assert is_uniform(size ** d[0].numel())
    flat = d.flatten(1) / radius
    # Symmetric and uncorrelated: no coordinate, sign or pair is favored.
    assert float(((flat > 0).double().mean(0) - 0.5).abs().max()) < 4.5 * 0.5 / num_samples**0.5
    correlation = torch.corrcoef(flat.T).reshape(flat.shape[1], -1)
    assert float((correlation - torch.eye(flat.shape[1])).abs().max()) < 5 / num_samples**0.5


def test_samples_fill_the_disk_evenly(is_uniform: Callable[[Tensor], bool]) -> None:
    streams, like = Streams.of(2, range(4000)), torch.zeros(4000, 2, dtype=torch.float64)
    a, b = NORMS["linf"].sample(like, 1.0, streams).T
    assert is_uniform((a + 1) / 2)
    assert is_uniform((b + 1) / 2)
    a, b = NORMS["l2"].sample(like, 1.0, streams).T
    assert is_uniform(torch.atan2(a, b) / (2 * torch.pi) + 0.5)
    a, b = NORMS["l1"].sample(like, 1.0, streams).T
    # The l1 ball of the plane is a square that stands on a corner.
    assert is_uniform((a + b + 1) / 2)
    assert is_uniform((a - b + 1) / 2)


@norms
def test_sample_takes_a_radius_per_sample_and_an_empty_batch(norm: Norm) -> None:
    like, streams = torch.zeros(3, 2, 2), Streams.of(0, range(3))
    radius = torch.tensor([0.0, 0.1, 2.0])
    d = norm.sample(like, radius, streams)
    torch.testing.assert_close(d, norm.sample(like, 1.0, streams) * per_sample(radius, like))
    assert norm.sample(like[:0], radius[:0], streams[:0]).shape == (0, 2, 2)
    assert norm.size(like[:0]).shape == (0,)
    assert norm.project(like[:0], radius[:0]).shape == (0, 2, 2)
