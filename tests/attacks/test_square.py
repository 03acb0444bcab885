"""Square: its proposals, its schedule, its budget of queries, and independence of the batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medrobust.attacks.parts.square_proposals import dents, first_dents, repaint, stripes
from medrobust.attacks.square import square
from medrobust.engine.count import Counted
from medrobust.goals import LeastLikely
from medrobust.norms import NORMS
from medrobust.streams import Streams
from medrobust.threat import Threat

SHAPES = {"signal": (2, 11), "image": (3, 9, 7), "volume": (1, 5, 6, 7)}
norms = pytest.mark.parametrize("norm", NORMS)


def quarters(shape: tuple[int, ...], gap: float) -> Callable[[Tensor], Tensor]:
    """One logit: the sum over the first half of the last dimension minus that over the second, minus gap."""
    sign = torch.where(torch.arange(shape[-1]) < shape[-1] // 2, 1.0, -1.0)

    def model(x: Tensor) -> Tensor:
        # Without a gradient: scores must be enough.
        return (((x - 0.5).detach() * sign).flatten(1).sum(1) - gap)[:, None]

    return model


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_linf_breaks_a_linear_model_a_little_above_its_distance(shape: tuple[int, ...]) -> None:
    x, y = torch.full((4, *shape), 0.5), torch.zeros(4, dtype=torch.long)
    distance = 0.05
    model = quarters(shape, distance * x[0].numel())
    for share, broken in ((1.3, True), (0.99, False)):
        x_adv = square(num_queries=500)(model, x, y, Threat(epsilon=share * distance))
        assert bool(((model(x_adv)[:, 0] > 0) == broken).all())


@norms
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_proposals_stay_allowed_and_use_the_budget(norm: str, shape: tuple[int, ...]) -> None:
    x = torch.full((3, *shape), 0.5, dtype=torch.float64)
    mask = (torch.arange(x[0].numel()).reshape(shape) % 3 > 0).expand(x.shape)
    for where in (None, mask):
        ball = Threat(epsilon=torch.tensor([0.05, 0.1, 0.2]), norm=NORMS[norm], mask=where).around(x)
        ball = ball._replace(radius=ball.radius.double())
        is_linf, streams = norm == "linf", Streams.of(0, range(3))
        best = (stripes if is_linf else first_dents)(ball, streams)
        moved = torch.zeros(3)
        for query in range(12):
            assert bool(ball.contains(best, 1e-5).all())
            torch.testing.assert_close(ball.distance(best), ball.radius, rtol=1e-3, atol=0)
            sides = square().sides(query * 400, ball)
            move = repaint if is_linf else dents
            new = move(best, ball, sides, streams.child(query))
            moved += (new != best).flatten(1).any(1)
            best = new
        # A box can fall where the mask lets nothing change, or in l1, whose changes are sparse, where nothing is.
        assert bool((moved >= (12 if where is None and is_linf else 3)).all())


def test_a_square_is_one_box_of_one_sign_a_channel_and_goes_everywhere() -> None:
    x = torch.full((1, 2, 6, 5), 0.5)
    ball = Threat(epsilon=0.1).around(x)
    touched = torch.zeros(6, 5, dtype=torch.bool)
    for draw in range(200):
        d = (repaint(x, ball, (2, 3), Streams.of(draw, [0])) - x)[0]
        where = (d != 0).all(0)
        rows, columns = where.any(1).nonzero()[:, 0], where.any(0).nonzero()[:, 0]
        assert len(rows) == 2
        assert len(columns) == 3
        assert int(where.sum()) == 6
        assert bool((d != 0).any(0).eq(where).all())
        assert all(len(channel[where].unique()) == 1 for channel in d)
        touched |= where
    assert bool(touched.all()), "the last row or column is never reached"


def test_images_have_their_own_squares() -> None:
    x = torch.full((8, 1, 16, 16), 0.5)
    ball = Threat(epsilon=0.1).around(x)
    assert len({tuple(d.flatten().tolist()) for d in repaint(x, ball, (4, 4), Streams.of(0, range(8)))}) == 8


def test_the_squares_shrink_as_published() -> None:
    attack = square(num_queries=10000)
    at = {0: 1, 10: 1, 11: 2, 51: 4, 201: 8, 501: 16, 1001: 32, 2001: 64, 4001: 128, 6001: 256, 8001: 512, 9999: 512}
    assert {query: 0.8 / attack.covered(query) for query in at} == at
    rescaled, plain = square(num_queries=1000), square(num_queries=1000, rescale_schedule=False)
    assert rescaled.covered(101) == attack.covered(1010)
    assert plain.covered(101) == attack.covered(101)
    ball = Threat(epsilon=0.1).around(torch.zeros(1, 3, 20, 20))
    assert attack.sides(0, ball) == (18, 18)  # sqrt(0.8 * 400) = 17.9
    assert attack.sides(9000, ball) == (1, 1)
    volume = Threat(epsilon=0.1, norm=NORMS["l2"]).around(torch.zeros(1, 1, 10, 10, 4))
    assert attack.sides(0, volume) == (7, 7, 4)  # (0.8 * 400) ** (1 / 3) = 6.8; odd; no longer than the image
    assert attack.sides(9000, volume) == (3, 3, 3)


def net(x: Tensor) -> Tensor:
    """Four classes, wiggly, each image by itself whatever the batch."""
    w = torch.sin(torch.arange(1, x[0].numel() * 4 + 1, dtype=x.dtype)).reshape(-1, 4)
    return (x.flatten(1)[:, :, None] * w).sum(1)


@norms
def test_results_and_costs_do_not_depend_on_the_batch(norm: str) -> None:
    x = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y, streams = net(x).argmax(1), Streams.of(0, range(6))
    y[5] = (y[5] + 1) % 4
    epsilon = {"linf": 0.03, "l2": 0.25, "l1": 1.2}[norm]
    counted = Counted(net, 6)
    threat = Threat(epsilon=epsilon, norm=NORMS[norm])
    together = square(num_queries=60)(counted, x, y, threat, generator=streams)
    wrong = net(together).argmax(1) != y
    assert 1 < int(wrong.sum()) < 6
    assert torch.equal(together[5], x[5])
    assert counted.forwards[5] == 1
    assert (counted.forwards[~wrong] == 61).all()
    assert (counted.forwards[wrong] < 61).all()
    assert (counted.backwards == 0).all()
    for images in ([2], [5, 1], [4, 3, 0]):
        index = torch.tensor(images)
        alone = Counted(net, len(index))
        part = square(num_queries=60)(alone, x[index], y[index], threat, generator=streams[index])
        torch.testing.assert_close(part, together[index], rtol=0, atol=1e-12)
        assert torch.equal(alone.forwards, counted.forwards[index])


@norms
def test_every_query_can_only_help(norm: str) -> None:
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    y = net(x).argmax(1)
    threat = Threat(epsilon={"linf": 0.01, "l2": 0.05, "l1": 0.3}[norm], norm=NORMS[norm])

    def gap(x: Tensor) -> Tensor:
        z = net(x)
        return z.gather(1, y[:, None])[:, 0] - z.scatter(1, y[:, None], -torch.inf).amax(1)

    gaps = [
        gap(square(num_queries=num, rescale_schedule=False)(net, x, y, threat, generator=0)) for num in (1, 10, 40, 120)
    ]
    assert all(bool((after <= before + 1e-6).all()) for before, after in itertools.pairwise(gaps))
    assert bool((gaps[-1] < gaps[0]).all())


def test_a_target_is_reached() -> None:
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    y, goal = net(x).argmax(1), LeastLikely()
    x_adv = square(num_queries=200, goal=goal)(net, x, y, Threat(epsilon=0.4))
    assert bool((net(x_adv).argmax(1) == goal(net(x), y).labels).any())


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="num_queries"):
        square(num_queries=0)
    with pytest.raises(ValueError, match="share"):
        square(share=0.0)
    with pytest.raises(ValueError, match="spatial"):
        square()(net, torch.zeros(1, 4), torch.zeros(1, dtype=torch.long), Threat(epsilon=0.1))
