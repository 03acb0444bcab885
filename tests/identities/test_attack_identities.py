"""Names that mean the same, and combinators that do what their name says."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from medrobust.attacks import bim, cw_linf, fgsm, mi_fgsm, pgd, restarts, smallest_epsilon, ti_fgsm, worst_case
from medrobust.engine.keep import KEEPS
from medrobust.engine.program import Program
from medrobust.goals import Goal, LeastLikely, Towards, predicted, runner_up
from medrobust.losses import margin, probability_margin
from medrobust.norms import NORMS, Linf
from medrobust.streams import Streams
from medrobust.testing import HEADS, TinyModel, images_of
from medrobust.threat import Threat

norms = pytest.mark.parametrize("norm", NORMS)
SHAPE = (3, 4, 4)
MODEL = TinyModel(SHAPE, 5).eval()
X, Y = images_of(MODEL, SHAPE, 8)


def threat_of(norm: str, share: float = 0.1) -> Threat:
    return Threat(epsilon=share * float(NORMS[norm].size(torch.ones_like(X[:1]))), norm=NORMS[norm])


def run(attack: Any, norm: str = "linf", share: float = 0.1, **more: Any) -> Tensor:
    return attack(MODEL, X, Y, threat_of(norm, share), **{"generator": 0, **more})


def reached(x_adv: Tensor, y: Tensor = Y) -> Tensor:
    with torch.no_grad():
        return Goal(y, False).reached(MODEL(x_adv))


@norms
def test_fgsm_is_bim_with_one_step(norm: str) -> None:
    assert torch.equal(run(fgsm(), norm), run(bim(num_steps=1), norm))


def test_fgsm_by_hand() -> None:
    x = X.clone().requires_grad_()
    (grad,) = torch.autograd.grad(torch.nn.functional.cross_entropy(MODEL(x), Y, reduction="sum"), x)
    torch.testing.assert_close(run(fgsm()), (X + 0.1 * grad.sign()).clamp(0, 1))
    (grad,) = torch.autograd.grad(torch.nn.functional.cross_entropy(MODEL(x), MODEL(x).argmin(1), reduction="sum"), x)
    torch.testing.assert_close(run(fgsm(goal=LeastLikely(False))), (X - 0.1 * grad.sign()).clamp(0, 1))


@norms
def test_bim_is_pgd_without_random_start(norm: str) -> None:
    step = {"num_steps": 7, "relative_step_size": 0.3}
    assert torch.equal(run(bim(**step), norm), run(pgd(**step, random_start=False), norm))
    assert not torch.equal(run(bim(**step), norm), run(pgd(**step), norm))


def test_cw_linf_is_pgd_on_the_margin() -> None:
    assert torch.equal(run(cw_linf(num_steps=5)), run(pgd(num_steps=5, loss=margin)))
    assert not torch.equal(run(cw_linf(num_steps=5)), run(pgd(num_steps=5, loss=probability_margin)))


def test_ti_fgsm_that_smooths_nothing_is_mi_fgsm() -> None:
    assert torch.equal(run(ti_fgsm(kernel_size=1)), run(mi_fgsm()))
    assert not torch.equal(run(ti_fgsm(kernel_size=3)), run(mi_fgsm()))


def test_mi_fgsm_without_memory_is_bim() -> None:
    assert torch.equal(run(mi_fgsm(decay=0.0)), run(bim()))
    assert not torch.equal(run(mi_fgsm(decay=1.0)), run(bim()))


@norms
def test_a_step_is_a_share_of_epsilon_or_pixels(norm: str) -> None:
    epsilon = float(threat_of(norm).epsilon)
    a, b = run(bim(relative_step_size=0.25), norm), run(bim(step_size=0.25 * epsilon), norm)
    torch.testing.assert_close(a, b)


@norms
def test_a_vector_of_budgets_is_many_scalars(norm: str) -> None:
    shares = [0.01 * k for k in range(1, 9)]
    epsilon = torch.tensor([float(threat_of(norm, share).epsilon) for share in shares])
    attack = pgd(num_steps=4)
    together = attack(MODEL, X, Y, Threat(epsilon=epsilon, norm=NORMS[norm]), generator=0)
    for i, share in enumerate(shares):
        torch.testing.assert_close(together[i], run(attack, norm, share)[i])


@norms
def test_a_start_given_is_the_start_drawn(norm: str) -> None:
    attack, threat, streams = pgd(num_steps=4), threat_of(norm), Streams.of(7, range(8))
    start = attack.first(threat.around(X), streams)
    given = attack(MODEL, X, Y, threat, start=start)
    torch.testing.assert_close(given, attack(MODEL, X, Y, threat, generator=streams))
    assert not torch.equal(given, attack(MODEL, X, Y, threat, start=X))


@norms
def test_a_start_outside_the_ball_does_not_stay_there(norm: str) -> None:
    threat = threat_of(norm)
    x_adv = pgd(num_steps=2, keep=KEEPS["highest"])(MODEL, X, Y, threat, start=1 - X)
    assert bool(threat.around(X).contains(x_adv, tolerance=1e-5).all())


def test_one_restart_is_the_attack_with_that_stream() -> None:
    streams = Streams.of(3, range(8))
    once = run(restarts(pgd(num_steps=3), 1), generator=streams)
    assert torch.equal(once, run(pgd(num_steps=3), generator=streams.child("attack", 0)))


def test_restarts_differ_and_only_add() -> None:
    attack, streams = pgd(num_steps=1, relative_step_size=0.2), Streams.of(3, range(8))
    won = [reached(run(restarts(attack, k), share=0.06, generator=streams)) for k in (1, 2, 4, 8)]
    for fewer, more in pairwise(won):
        assert bool((more | ~fewer).all())
    assert int(won[-1].sum()) > int(won[0].sum()), "on these images a second start helps"


def test_worst_case_is_never_worse_than_a_member() -> None:
    members = [fgsm(), cw_linf(num_steps=3), pgd(num_steps=3, goal=runner_up), bim(num_steps=2, loss=margin)]
    streams = Streams.of(3, range(8))
    for share in (0.01, 0.03, 0.06):
        worst = reached(run(worst_case(members), share=share, generator=streams))
        alone = [
            reached(run(attack, share=share, generator=streams.child("attack", number)))
            for number, attack in enumerate(members)
        ]
        # A member wins by its own goal, which for these is a wrong answer too.
        assert torch.equal(worst, torch.stack(alone).any(0))
    assert int(worst.sum()) > 0


def test_worst_case_asks_nothing_about_a_broken_image() -> None:
    shown: list[int] = []

    def counting(x: Tensor) -> Tensor:
        shown.append(len(x))
        return MODEL(x)

    threat = Threat(epsilon=torch.tensor([0.9] * 6 + [0.0] * 2))
    worst_case([bim(num_steps=1), bim(num_steps=1)])(counting, X, Y, threat)
    # One gradient and one look for eight images, then for the two that cannot be broken.
    assert shown == [8, 8, 2, 2]


def test_combinators_need_attacks() -> None:
    with pytest.raises(ValueError, match="at least one"):
        worst_case([])
    with pytest.raises(ValueError, match="1 or more"):
        restarts(bim(), 0)
    with pytest.raises(ValueError, match="num_steps"):
        pgd(num_steps=0)
    for attack in (pgd, bim, mi_fgsm, ti_fgsm):
        with pytest.raises(ValueError, match="not both"):
            attack(step_size=0.1, relative_step_size=0.1)


@norms
def test_smallest_epsilon_is_on_the_boundary(norm: str) -> None:
    attack = bim(num_steps=20, relative_step_size=0.2, keep=KEEPS["first_reached"])
    found = run(smallest_epsilon(attack, 20), norm, share=1.0)
    size = NORMS[norm].size(found - X)
    won = reached(found)
    assert int(won.sum()) >= 6
    below = attack(MODEL, X, Y, Threat(epsilon=0.95 * size, norm=NORMS[norm]))
    assert not bool(reached(below)[won].any()), "5 % less is not enough for the attack"


def test_smallest_epsilon_leaves_what_is_wrong_and_respects_the_budget() -> None:
    wrong = (Y + 1) % 5
    attack = smallest_epsilon(bim(num_steps=5))
    assert torch.equal(attack(MODEL, X, wrong, threat_of("linf")), X)
    assert float((attack(MODEL, X, Y, Threat(epsilon=0.01)) - X).abs().max()) <= 0.01 + 1e-6


def test_predicted_is_untargeted_where_the_model_is_right() -> None:
    assert torch.equal(run(pgd(num_steps=3, goal=predicted)), run(pgd(num_steps=3)))
    wrong = (Y + 1) % 5
    attack = pgd(num_steps=3, goal=predicted)
    assert torch.equal(attack(MODEL, X, wrong, threat_of("linf"), generator=0), run(attack))


def test_towards_the_first_rank_is_the_runner_up_and_any_wrong_answer_counts() -> None:
    logits = MODEL(X).detach()
    one, other = Towards(1)(logits, Y), runner_up(logits, Y)
    assert torch.equal(one.labels, other.labels)
    assert torch.equal(one.reached(logits), torch.zeros(8, dtype=torch.bool))


@pytest.mark.parametrize("head", ["two_classes", "one_logit"])
def test_two_classes_have_one_way_out(head: str) -> None:
    model = TinyModel(SHAPE, HEADS[head]).eval()
    x, y = images_of(model, SHAPE, 4)
    threat = threat_of("linf")
    found = [pgd(num_steps=3, goal=goal)(model, x, y, threat, generator=0) for goal in (runner_up, LeastLikely())]
    assert torch.equal(found[0], found[1])
    # Least likely over all classes repairs a wrong answer instead.
    repaired = bim(goal=LeastLikely(False))(model, x, 1 - y, threat)
    attacked = bim(goal=LeastLikely())(model, x, 1 - y, threat)
    truth = Goal(1 - y, True)
    assert int(truth.reached(model(repaired)).sum()) > int(truth.reached(model(attacked)).sum()) - 1
    assert bool((margin(model(repaired), truth) > margin(model(attacked), truth)).all())


@pytest.mark.parametrize(("keep", "forwards"), [("last", 5), ("highest", 6), ("first_reached", 6)])
def test_the_cost_is_one_forward_a_look(keep: str, forwards: int) -> None:
    shown: list[int] = []

    def counting(x: Tensor) -> Tensor:
        shown.append(len(x))
        return MODEL(x)

    bim(num_steps=5, keep=KEEPS[keep])(counting, X, Y, threat_of("linf"))
    assert shown == [8] * forwards


def test_a_trajectory_begins_at_the_start_and_ends_at_what_last_returns() -> None:
    attack: Program = bim(num_steps=4)
    ball, points = attack.trajectory(MODEL, X, Y, threat_of("linf"))
    visited = [point.x for point in points]
    assert len(visited) == 5
    assert torch.equal(visited[0], X)
    assert torch.equal(visited[-1], run(attack))
    assert isinstance(ball.norm, Linf)


def test_a_larger_budget_is_never_weaker() -> None:
    won = [
        reached(run(bim(num_steps=20, relative_step_size=0.1, keep=KEEPS["first_reached"]), share=s))
        for s in (0.02, 0.05, 0.1, 0.3)
    ]
    for fewer, more in pairwise(won):
        assert bool((more | ~fewer).all())
