"""Auto-PGD: closed forms, searches of mixed age, starts, masks, costs. Equality with the original is in golden/."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from medrobust.attacks.apgd import LargerBallsFirst, apgd, apgd_dlr, apgd_t, dlr_or_margin
from medrobust.engine.adaptive import Adaptive, Plateau, Sparse, far_point
from medrobust.engine.ascend import Point, Score, Search, advance, against, begin
from medrobust.engine.count import Counted
from medrobust.engine.keep import highest
from medrobust.engine.tree import concatenate, put, take
from medrobust.engine.until_reached import until_reached
from medrobust.goals import Goal, Towards, untargeted
from medrobust.losses import cross_entropy, dlr, margin
from medrobust.norms import NORMS
from medrobust.streams import Streams
from medrobust.threat import Ball, Threat

EPSILON = {"linf": 0.03, "l2": 0.2, "l1": 0.8}
norms = pytest.mark.parametrize("norm", NORMS)


def scene(num_images: int = 6, num_classes: int = 4) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
    """A smooth classifier that rounds the same in any batch, in float64; images and labels."""
    generator = torch.Generator().manual_seed(3)
    first = torch.randn(36, 12, generator=generator, dtype=torch.float64) / 3
    second = torch.randn(12, num_classes, generator=generator, dtype=torch.float64)
    x = torch.rand(num_images, 1, 6, 6, generator=generator, dtype=torch.float64)

    def model(x: Tensor) -> Tensor:
        # Sums of products, not a matrix product: that one rounds by the size of the batch.
        hidden = torch.tanh((x.flatten(1)[:, :, None] * first).sum(1))
        return (hidden[:, :, None] * second).sum(1)

    return model, x, model(x).argmax(1)


def ball_of(x: Tensor, norm: str, share: float = 1.0, mask: Tensor | None = None) -> Ball:
    return Threat(epsilon=share * EPSILON[norm], norm=NORMS[norm], mask=mask).around(x)


@norms
def test_searches_of_different_age_share_a_batch(norm: str) -> None:
    """Lanes 0-1 start at tick 0, lanes 2-3 at tick 5; at tick 9 lane 0 is given to image 4: all go as they do alone."""
    model, x, y = scene()
    step, num_steps = Adaptive(), 24
    ball = ball_of(x, norm)
    start = far_point(ball, Streams.of(0, range(len(x))))
    objective = against(model, Goal(y, False), cross_entropy)

    def alone(num_ticks: int) -> Search:
        search = begin(ball, start, step, num_steps)
        for _ in range(num_ticks):
            search = advance(search, Point(search.x, objective), step)
        return search

    def fresh(images: Tensor) -> tuple[Tensor, Search]:
        return images, begin(take(ball, images), start[images], step, num_steps)

    def tick(lanes: tuple[Tensor, Search]) -> tuple[Tensor, Search]:
        item, search = lanes
        seen = against(model, Goal(y[item], False), cross_entropy)
        return item, advance(search, Point(search.x, seen), step)

    lanes = fresh(torch.tensor([0, 1]))
    for _ in range(5):
        lanes = tick(lanes)
    lanes = concatenate([lanes, fresh(torch.tensor([2, 3]))])
    for _ in range(4):
        lanes = tick(lanes)
    torch.testing.assert_close(lanes[1].x[0], alone(9).x[0], rtol=0, atol=1e-12)
    lanes = put(lanes, torch.tensor([0]), fresh(torch.tensor([4])))
    for _ in range(15):
        lanes = tick(lanes)
    for lane, (image, age) in enumerate([(4, 15), (1, 24), (2, 19), (3, 19)]):
        one, straight = take(lanes[1], torch.tensor([lane])), take(alone(age), torch.tensor([image]))
        torch.testing.assert_close(one.x, straight.x, rtol=0, atol=1e-12)
        for ours, theirs in zip(one.step, straight.step, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def values_of(step: Plateau | Sparse, ball: Ball, values: list[float], x: list[Tensor]) -> list[Tensor]:
    """Step sizes after points of these values and places, whatever the step would have done: the rule by itself."""
    state, sizes = step.init(ball, len(values)), []
    for value, at in zip(values, x, strict=True):
        score = Score(torch.full((len(at),), value, dtype=at.dtype), at.flatten(1), torch.zeros(len(at)))
        point = Point(at, lambda _, score=score: score)
        point.__dict__["grad"] = torch.ones_like(at)
        point.__dict__["score"] = score
        _, state = step(point, state, ball)
        sizes.append(state.step_size)
    return sizes


def test_checkpoints_are_where_the_paper_puts_them() -> None:
    ball = Threat(epsilon=0.5).around(torch.full((1, 1, 1, 2), 0.5))
    sizes = torch.cat(values_of(Plateau(), ball, [-1.0] * 100, [ball.center] * 100))
    # 100 p_j of arXiv:2003.01690: 22, 41, 57, 70, 80, 87, 93, 99.
    assert (sizes[1:] < sizes[:-1]).nonzero()[:, 0].add(1).tolist() == [22, 41, 57, 70, 80, 87, 93, 99]
    assert sizes.unique(sorted=True).flip(0).tolist() == [0.5**k for k in range(9)]


def test_a_rising_loss_keeps_the_step_size() -> None:
    ball = Threat(epsilon=0.5).around(torch.full((1, 1, 1, 2), 0.5))
    rising = [float(k) for k in range(100)]
    assert set(torch.cat(values_of(Plateau(), ball, rising, [ball.center] * 100)).tolist()) == {1.0}
    # 2 rises of 3 are not more than rho = 0.75; the best value rises all the same.
    saw = [float(k - 2 * (k % 3 == 2)) for k in range(100)]
    assert torch.cat(values_of(Plateau(), ball, saw, [ball.center] * 100))[22] == 0.5
    assert torch.cat(values_of(Plateau(rho=0.5), ball, saw, [ball.center] * 100))[-1] == 1.0


def test_a_plateau_sends_the_search_back_to_its_best_point() -> None:
    model, x, y = scene()
    ball = ball_of(x, "linf")
    objective, step = against(model, Goal(y, False), margin), Plateau()
    search, best = begin(ball, ball.center, step, 9), torch.full((len(x),), -torch.inf, dtype=x.dtype)
    fallen = 0
    for _ in range(9):
        point = Point(search.x, objective)
        best = torch.maximum(best, point.score.value)
        before, search = search, advance(search, point, step)
        halved = search.step.step_size < before.step.step_size
        if bool(halved.any()):
            at = objective(search.step.previous).value
            fallen += int((point.score.value[halved] < best[halved]).sum())
            torch.testing.assert_close(at[halved], best[halved])
    assert fallen, "no search had to go back: the test saw nothing"


def test_in_l1_a_sparser_best_point_brings_the_full_step_back() -> None:
    ball = Threat(epsilon=0.6, norm=NORMS["l1"]).around(torch.full((1, 1, 1, 4), 0.5))
    dense, sparse = ball.center + 0.1, ball.center + torch.tensor([0.4, 0, 0, 0])
    values, x = [float(k) for k in range(25)], [dense] * 15 + [sparse] * 10
    sizes = torch.cat(values_of(Sparse(), ball, values, x))
    expected = torch.tensor([0.6 / 1.5**k for k in range(15)])
    torch.testing.assert_close(sizes[:15], expected.clamp_min(0.06))
    assert sizes[15] == 0.6


@norms
def test_starts_lie_at_the_edge_and_inside_the_mask(norm: str) -> None:
    x = torch.full((3, 1, 5, 5), 0.5)
    mask = torch.zeros(3, 1, 5, 5, dtype=torch.bool)
    mask[..., :3] = True
    for where in (None, mask):
        ball = Threat(epsilon=torch.tensor([0.1, 0.2, 0.3]), norm=NORMS[norm], mask=where).around(x)
        start = far_point(ball, Streams.of(0, range(3)))
        assert bool(ball.contains(start, 1e-6).all())
        torch.testing.assert_close(ball.distance(start).float(), ball.radius)


@norms
def test_a_budget_per_sample_and_any_batch_give_the_same(norm: str) -> None:
    model, x, y = scene()
    attack, streams = apgd(num_steps=25), Streams.of(0, range(len(x)))
    together = attack(model, x, y, Threat(epsilon=EPSILON[norm], norm=NORMS[norm]), generator=streams)
    epsilon = torch.full((len(x),), EPSILON[norm], dtype=x.dtype)
    for images in ([3], [5, 0], [1, 2, 4]):
        index = torch.tensor(images)
        threat = Threat(epsilon=epsilon[index], norm=NORMS[norm])
        part = attack(model, x[index], y[index], threat, generator=streams[index])
        torch.testing.assert_close(part, together[index], rtol=0, atol=1e-12)


@norms
@pytest.mark.parametrize("loss", [cross_entropy, margin, dlr])
def test_a_linear_model_falls_just_above_its_distance(norm: str, loss: Callable[[Tensor, Goal], Tensor]) -> None:
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(27, generator=generator, dtype=torch.float64)
    w[4] = 3.0
    x = 0.5 + 0.1 * torch.rand(5, 3, 3, 3, generator=generator, dtype=torch.float64)
    gap = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5], dtype=torch.float64)
    bias = gap + (x.flatten(1) * w).sum(1)

    def model(x: Tensor) -> Tensor:
        z = bias - (x.flatten(1) * w).sum(1)
        return torch.stack([z, torch.zeros_like(z), torch.full_like(z, -50.0)], 1)

    y = torch.zeros(5, dtype=torch.long)
    distance = gap / NORMS[norm].dual_size(w[None])
    for share in (1.01, 0.99):
        x_adv = apgd(loss=loss)(model, x, y, Threat(epsilon=share * distance, norm=NORMS[norm]))
        assert bool(((model(x_adv).argmax(1) != y) == (share > 1)).all())


def test_too_few_classes_get_the_margin() -> None:
    z = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 1, 0, 1, 0])
    away, towards = Goal(y, False), Goal(1 - y, True, y)
    for classes, goal, loss in [(2, away, margin), (3, away, dlr), (3, towards, margin), (4, towards, dlr)]:
        assert torch.equal(dlr_or_margin(z[:, :classes], goal), loss(z[:, :classes], goal))
    one, labels = z[:, :1], (z > 0).float()
    assert torch.equal(dlr_or_margin(one, away), margin(one, away))
    assert torch.equal(dlr_or_margin(z, Goal(labels, False)), margin(z, Goal(labels, False)))


@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_targets_of_every_rank_are_wrong_answers(num_classes: int) -> None:
    model, x, y = scene(num_classes=num_classes)
    for attack in (apgd_dlr(num_steps=10), *(apgd_t(rank=rank, num_steps=10) for rank in range(1, num_classes))):
        x_adv = attack(model, x, y, Threat(epsilon=0.3))
        assert bool((model(x_adv).argmax(1) != y).any())


@norms
def test_a_search_that_stops_early_finds_the_same_for_less(norm: str) -> None:
    model, x, y = scene()
    share = {"linf": 1.5, "l2": 1.5, "l1": 0.8}[norm]
    program, ball = apgd(num_steps=20), ball_of(x, norm, share)
    start = program.first(ball, Streams.of(0, range(len(x))))
    for rule in (untargeted, Towards(2)):
        goal = rule(model(x), y)
        whole, part = Counted(model, len(x)), Counted(model, len(x))
        threat = Threat(epsilon=share * EPSILON[norm], norm=NORMS[norm])
        expected = replace(program, goal=lambda logits, y, goal=goal: goal)(whole, x, y, threat, start=start)
        kept = until_reached(program, part, goal, ball, start)
        torch.testing.assert_close(kept.x, expected, rtol=0, atol=1e-12)
        assert torch.equal(kept.reached, model(expected).argmax(1) != y)
        assert 0 < int(kept.reached.sum()) < len(x)
        assert (whole.backwards == 20).all()
        assert (whole.forwards == 22).all()  # one of them for the goal
        assert (part.forwards[~kept.reached] == 21).all()
        assert (part.backwards[kept.reached] < 20).all()
        assert (part.forwards == part.backwards + (~kept.reached).long()).all()


@norms
def test_only_the_mask_is_attacked_and_with_the_whole_budget(norm: str) -> None:
    model, x, y = scene()
    mask = (torch.arange(36).reshape(1, 6, 6) % 4 == 0).expand(x.shape)
    attack, threat = apgd(num_steps=25, keep=highest), Threat(epsilon=EPSILON[norm], norm=NORMS[norm], mask=mask)
    ball = threat.around(x)
    x_adv = attack(model, x, y, threat)
    assert bool(ball.contains(x_adv, 1e-9).all())
    assert bool((ball.distance(x_adv) > 0.9 * ball.radius).all())
    # No worse than the unmasked search on a model that looks at the mask alone.
    inside = attack(lambda z: model(torch.where(mask, z, x)), x, y, replace(threat, mask=None))
    reached = [cross_entropy(model(torch.where(mask, z, x)), Goal(y, False)).sum() for z in (x_adv, inside)]
    assert float(reached[0]) > 0.98 * float(reached[1])


def test_volumes_and_signals() -> None:
    for shape in [(2, 1, 9), (2, 1, 3, 3, 3)]:
        x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        y = torch.zeros(2, dtype=torch.long)
        for norm in NORMS.values():
            threat = Threat(epsilon=0.1, norm=norm)
            x_adv = apgd(num_steps=10)(lambda x: -x.flatten(1).sum(1), x, y, threat)
            assert x_adv.shape == x.shape
            assert bool(threat.around(x).contains(x_adv, 1e-5).all())
            assert bool((x_adv.flatten(1).sum(1) < x.flatten(1).sum(1)).all())


def test_from_larger_balls_ends_in_the_ball_with_the_steps_it_was_given() -> None:
    model, x, y = scene()
    attack = LargerBallsFirst(apgd(num_steps=20))
    threat = Threat(epsilon=EPSILON["l1"], norm=NORMS["l1"])
    counted = Counted(model, len(x))
    x_adv = attack(counted, x, y, threat)
    assert bool(threat.around(x).contains(x_adv, 1e-9).all())
    assert (counted.backwards == 20).all()
    # The last point of each of the three parts is scored.
    assert (counted.forwards == 23).all()


def test_from_larger_balls_climbs_about_as_high_as_from_the_ball_alone() -> None:
    model, x, y = scene(num_images=24)
    threat = Threat(epsilon=EPSILON["l1"], norm=NORMS["l1"])
    program = apgd(num_steps=30, keep=highest)
    plain, staged = (attack(model, x, y, threat) for attack in (program, LargerBallsFirst(program)))
    clean, low, high = (float(cross_entropy(model(z), Goal(y, False)).mean()) for z in (x, plain, staged))
    assert high - clean > 0.95 * (low - clean) > 0.1
