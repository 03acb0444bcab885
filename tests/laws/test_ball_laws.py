"""A verdict rests on the ball: it must hold exactly, at every radius that float32 can show."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from medrobust.norms import NORMS, Norm
from medrobust.streams import Streams
from medrobust.threat import Ball, Threat

norms = pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
EDGES = (0.0, 1.0, 1e-9, 1 - 2**-24, 0.5, 8 / 255)
DOMAINS = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-1000.0, 3000.0))


@st.composite
def balls(draw: st.DrawFn, norm: Norm, masked: bool | None = None) -> tuple[Ball, Tensor]:
    """A ball around an image of 1 to 48 pixels, and a point that an attack might propose."""
    shape = (2, *draw(st.sampled_from(((1,), (1, 5), (3, 4, 4), (1, 2, 3, 4)))))
    low, high = domain = draw(st.sampled_from(DOMAINS))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    unit = torch.rand(shape, generator=random)
    for position, value in draw(st.lists(st.tuples(st.integers(0, 99), st.sampled_from(EDGES)), max_size=6)):
        unit.view(-1)[position % unit.numel()] = value
    center = (low + unit * (high - low)).clamp(low, high)
    radius = 10 ** draw(st.floats(-7, 0)) * (high - low)
    radius = draw(st.sampled_from((radius, radius, radius, 0.0, math.inf)))
    use_mask = draw(st.booleans()) if masked is None else masked
    mask = torch.rand(shape, generator=random) < 0.5 if use_mask else None
    ball = Threat(epsilon=torch.tensor([radius, radius / 3]), norm=norm, domain=domain, mask=mask).around(center)
    reach = 10 ** draw(st.floats(-2, 1)) * min(radius, high - low)
    x = center + reach * torch.randn(shape, generator=random)
    if draw(st.booleans()):
        x = center + reach * torch.randn(shape, generator=random).sign()
    return ball, x


def ulp(ball: Ball) -> Tensor:
    """(n,) what rounding to float32 may add to a distance: one unit in the last place of every coordinate."""
    low, high = ball.domain
    top = torch.full_like(ball.center, max(abs(low), abs(high)))
    return ball.norm.size((torch.nextafter(top, 2 * top) - top).double()) + 1e-6 * ball.radius.clamp_max(1e9)


@norms
@given(data=st.data())
def test_project_is_inside_up_to_rounding(norm: Norm, data: st.DataObject) -> None:
    ball, x = data.draw(balls(norm))
    low, high = ball.domain
    once = ball.project(x)
    assert bool((ball.distance(once) <= ball.radius + ulp(ball)).all())
    assert float(once.amin()) >= low
    assert float(once.amax()) <= high
    assert bool((ball.distance(once) <= ball.norm.size((x - ball.center).double()) * (1 + 1e-5) + ulp(ball)).all())
    torch.testing.assert_close(ball.project(once), once, rtol=1e-6, atol=float(ulp(ball).max()))


@norms
@given(data=st.data())
def test_project_leaves_alone_what_is_inside(norm: Norm, data: st.DataObject) -> None:
    ball, x = data.draw(balls(norm))
    inside = ball.round_inside(x)
    torch.testing.assert_close(ball.project(inside), inside, rtol=1e-6, atol=float(ulp(ball).max()))
    assert torch.equal(ball.project(ball.center), ball.center)


@norms
@given(data=st.data())
def test_round_inside_is_exactly_inside(norm: Norm, data: st.DataObject) -> None:
    ball, x = data.draw(balls(norm))
    for proposed in (x, ball.project(x), ball.sample(Streams.of(0, range(len(x))))):
        rounded = ball.round_inside(proposed)
        assert bool(ball.contains(rounded).all()), ball.distance(rounded) - ball.radius
        assert rounded.dtype == ball.center.dtype


@norms
@given(data=st.data())
def test_round_inside_moves_a_projected_point_by_its_rounding_only(norm: Norm, data: st.DataObject) -> None:
    ball, x = data.draw(balls(norm))
    projected = ball.project(x)
    moved = ball.norm.size(ball.round_inside(projected).double() - projected.double())
    assert bool((moved <= 2 * ulp(ball)).all())


@norms
@given(data=st.data(), bad=st.sampled_from((math.nan, math.inf, -math.inf)), position=st.integers(0, 99))
def test_round_inside_replaces_what_is_not_finite(norm: Norm, data: st.DataObject, bad: float, position: int) -> None:
    ball, x = data.draw(balls(norm))
    x[0].view(-1)[position % x[0].numel()] = bad
    assert not bool(ball.contains(x)[0])
    rounded = ball.round_inside(x)
    assert torch.equal(rounded[0], ball.center[0]), "a point that is not finite becomes the center"
    assert bool(ball.contains(rounded).all())
    assert torch.equal(rounded[1:], ball.round_inside(x.nan_to_num(0))[1:]), "and its neighbors do not notice"


@norms
@given(data=st.data())
def test_nothing_moves_outside_the_mask(norm: Norm, data: st.DataObject) -> None:
    ball, x = data.draw(balls(norm, masked=True))
    assert ball.mask is not None
    for point in (ball.project(x), ball.round_inside(x), ball.sample(Streams.of(1, range(len(x))))):
        assert torch.equal(point[~ball.mask], ball.center[~ball.mask])


@norms
@pytest.mark.parametrize("what", ["outside the ball", "over the domain", "under the domain", "masked", "nan"])
def test_contains_says_no(norm: Norm, what: str) -> None:
    x = torch.full((2, 1, 2, 2), 0.5)
    mask = torch.tensor([[True, False], [True, True]])
    ball = Threat(epsilon=torch.tensor([0.25, 1.0]), norm=norm, mask=mask).around(x)
    assert bool(ball.contains(x).all())
    moved = x.clone()
    moved[0, 0, 0, 0] += 0.25
    assert bool(ball.contains(moved).all()), "the edge of the ball is allowed"
    if what == "outside the ball":
        moved[0, 0, 0, 0] = torch.nextafter(torch.tensor(0.75), torch.tensor(1.0))
        assert ball.contains(moved, tolerance=1e-6).tolist() == [True, True]
    elif what == "masked":
        moved[0, 0, 0, 1] += 1e-7
    elif what == "nan":
        moved[0, 0, 1, 1] = math.nan
    else:
        ball = ball._replace(domain=(0.0, 0.7) if what == "over the domain" else (0.6, 1.0))
    assert not bool(ball.contains(moved)[0])


@norms
def test_the_radius_is_what_was_asked(norm: Norm) -> None:
    x = torch.full((3, 1, 2, 2), 0.5)
    far = torch.zeros_like(x)
    far[:, 0, 0, 0] = 1.0
    ball = Threat(epsilon=torch.tensor([0.0, 0.125, 0.25]), norm=norm).around(x)
    torch.testing.assert_close(ball.distance(ball.project(far)), torch.tensor([0.0, 0.125, 0.25]).double())
    assert torch.equal(ball.round_inside(far)[0], x[0])
    unlimited = Threat(norm=norm).around(x)
    assert torch.equal(unlimited.project(far), far)
    assert torch.equal(unlimited.round_inside(far), far)
    torch.testing.assert_close(unlimited.farthest().double(), unlimited.distance(far))


@norms
def test_samples_of_a_ball_in_the_middle_are_not_clipped(norm: Norm) -> None:
    x = torch.full((500, 1, 3, 3), 0.5)
    ball = Threat(epsilon=0.1, norm=norm).around(x)
    d = ball.sample(Streams.of(3, range(500))) - x
    torch.testing.assert_close(d, norm.sample(x, 0.1, Streams.of(3, range(500))), atol=1e-6, rtol=0)


@pytest.mark.parametrize("epsilon", [-0.1, math.nan, torch.tensor([0.1, -0.1])])
def test_impossible_budgets_are_refused(epsilon: float | Tensor) -> None:
    with pytest.raises(ValueError, match="epsilon"):
        Threat(epsilon=epsilon)


def test_empty_domain_is_refused() -> None:
    with pytest.raises(ValueError, match="domain"):
        Threat(epsilon=0.1, domain=(1.0, 1.0))


@pytest.mark.parametrize("shape", [(4, 4), (3, 4, 4), (1, 1, 4, 4), (2, 1, 4, 4), (2, 3, 4, 4)])
def test_a_mask_broadcasts(shape: tuple[int, ...]) -> None:
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[..., :2, :] = True
    ball = Threat(epsilon=0.1, mask=mask).around(torch.full((2, 3, 4, 4), 0.5))
    changed = ball.project(torch.ones(2, 3, 4, 4)) != ball.center
    assert torch.equal(changed, mask.expand(2, 3, 4, 4))


@pytest.mark.parametrize("name", ["linf", "l2", "l1"])
@pytest.mark.parametrize(
    "epsilon", [8 / 255, 1 / 255, 0.3, 0.5, "2/255", torch.tensor([0.1, 0.7], dtype=torch.float64)]
)
@pytest.mark.parametrize("masked", [False, True])
def test_the_exact_ball_is_that_of_the_epsilon_as_written(
    name: str, epsilon: float | str | Tensor, masked: bool
) -> None:
    """Sizes in float64, against the epsilon in float64: float32(8/255) is above 8/255, a change of it does not fit."""
    written = 2 / 255 if isinstance(epsilon, str) else epsilon
    exact = torch.as_tensor(written, dtype=torch.float64).expand(2)
    center = torch.zeros(2, 1, 3, 4)
    center[:, 0, 0, 0] = 0.1
    mask = torch.arange(12).reshape(1, 1, 3, 4) % 2 == 0 if masked else None
    ball = Threat(epsilon, name, (-1.0, 1.0), mask).exact(center)
    assert bool((ball.radius.double() <= exact).all())
    assert bool((ball.radius.double() >= exact * (1 - 2e-7)).all())
    single = center.clone()
    single[:, 0, 0, 2] = exact.float()
    assert ball.contains(single).tolist() == [float(e.float()) <= float(e) for e in exact]
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        far = center + 3 * torch.randn(center.shape, generator=generator)
        x = ball.round_inside(far)
        size = NORMS[name].size(x.double() - center.double())
        assert bool((size <= exact).all())
        assert bool((size >= exact * (1 - 1e-5)).all()), "it is the nearest point, not any"
        assert bool(ball.contains(x).all())
