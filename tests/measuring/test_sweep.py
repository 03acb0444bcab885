"""The sweep against closed forms and against running every budget on its own."""

import pytest
import torch
from torch import Tensor

from measuring.toys import EPSILONS, exact_distance, image_set, linear, of_bits, small_net, subjects
from medrobust.attacks import apgd_ce, autoattack, pgd, restarts
from medrobust.auditing.setup import resolve
from medrobust.engine.keep import first_reached
from medrobust.measuring.bisect import bisect
from medrobust.measuring.each_budget import each_budget
from medrobust.measuring.outcome import Grid
from medrobust.measuring.search_model import SearchModel
from medrobust.measuring.sweep import Effort, sweep
from medrobust.recipes.audit import AuditRecipe
from medrobust.recipes.parts import DataSpec, ThreatSpec


def batch(n: int = 24) -> Tensor:
    images = image_set(n)
    return torch.stack([images[i][0] for i in range(n)])


def run(model, x, attack, grid, **effort):
    shown = subjects(model, x)
    with model.frozen():
        return sweep(attack, shown, grid, SearchModel(model, model), Effort(**effort))


def test_linear_models_fall_at_the_first_budget_above_the_closed_form() -> None:
    model, x = linear(), batch()
    grid = Grid("linf", EPSILONS)
    outcome = run(model, x, pgd(num_steps=10), grid, num_lanes=5)
    exact = exact_distance(model, x)
    expected = torch.tensor(EPSILONS).double()[None] >= exact[:, None]
    assert bool((outcome.reached == expected).all())
    # One whole failure and a few short searches suffice: less than half of 10 steps at each of 5 budgets.
    assert float(outcome.backwards.sum()) / len(x) < 20


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_not_weaker_than_every_budget_on_its_own(norm: str) -> None:
    model, x = small_net(), batch()
    grid = Grid(norm, EPSILONS if norm == "linf" else (0.05, 0.1, 0.2, 0.4, 0.8))
    attack = pgd(num_steps=20, keep=first_reached)
    swept = run(model, x, attack, grid, num_lanes=7)
    shown = subjects(model, x)
    with model.frozen():
        full = each_budget(attack, shown, grid, model, honest=True)
    assert 0 < int(full.reached.sum()) < full.reached.numel()
    assert bool((swept.reached | ~full.reached).float().mean() > 0.98)
    assert int(swept.backwards.sum()) < 0.6 * int(full.backwards.sum())


def test_outcome_is_nested_inside_the_ball_and_true() -> None:
    model, x = small_net(), batch()
    grid = Grid("linf", EPSILONS)
    outcome = run(model, x, apgd_ce(num_steps=20), grid)
    assert bool((outcome.reached[:, 1:] >= outcome.reached[:, :-1]).all())
    assert bool((outcome.distance <= torch.tensor(EPSILONS).double() * (1 + 1e-12)).all())
    with model.frozen(), torch.no_grad():
        clean = model(x).argmax(1)
    assert bool(((outcome.prediction != clean[:, None]) == outcome.reached).all())


def test_lanes_and_order_do_not_change_what_is_found() -> None:
    model, x = small_net(), batch()
    grid = Grid("linf", EPSILONS)
    one = run(model, x, pgd(num_steps=10), grid, num_lanes=1)
    many = run(model, x, pgd(num_steps=10), grid, num_lanes=16)
    back = run(model, x.flip(0), pgd(num_steps=10), grid, num_lanes=5)
    assert bool((one.reached == many.reached).all())
    assert bool((one.backwards == many.backwards).all())
    assert bool((one.reached == back.reached.flip(0)).all())


def test_a_search_model_that_lies_is_found_out() -> None:
    model, x = linear(), batch()
    wrong = linear(seed=5)
    grid = Grid("linf", EPSILONS)
    shown = subjects(model, x)
    with model.frozen(), wrong.frozen():
        outcome = sweep(pgd(num_steps=10), shown, grid, SearchModel(model, wrong), Effort())
    clean = shown.y
    claimed = outcome.prediction != clean[:, None]
    assert bool((claimed == outcome.reached).all())
    possible = torch.tensor(EPSILONS).double()[None] >= exact_distance(model, x)[:, None]
    assert bool((outcome.reached <= possible).all())


def test_bisection_of_any_attack_equals_the_closed_form() -> None:
    model, x = linear(), batch()
    grid = Grid("linf", EPSILONS)
    shown = subjects(model, x)
    with model.frozen():
        outcome = bisect(restarts(pgd(num_steps=10), 2), shown, grid, SearchModel(model, model), Effort())
    expected = torch.tensor(EPSILONS).double()[None] >= exact_distance(model, x)[:, None]
    assert bool((outcome.reached == expected).all())


def test_volumes() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv3d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(32, 2))
    from medrobust.models.classifier import Classifier

    model = Classifier(net, classes=["a", "b"], channels=1, spec="toy")
    x = torch.rand(6, 1, 4, 4, 4)
    outcome = run(model, x, pgd(num_steps=10), Grid("linf", (0.01, 0.1, 0.5)))
    assert outcome.reached[:, -1].float().mean() > 0.5


def test_what_survives_saving_survives_at_larger_budgets_and_is_true() -> None:
    from medrobust.measuring.verify import stored

    model, x = linear(), batch()
    grid = Grid("linf", (0.001, 0.003, 0.01, 0.05, 0.2))
    outcome = run(model, x, pgd(num_steps=10), grid)
    assert bool((outcome.survives[:, 1:] >= outcome.survives[:, :-1]).all())
    assert bool((outcome.survives <= outcome.reached).all())
    # A change of 0.2 is 51 grey levels: rounding cannot save an image whose boundary is well inside.
    near = exact_distance(model, x) < 0.1
    assert bool(outcome.survives[near, -1].all())
    # A change below half a grey level disappears.
    assert not bool(outcome.survives[:, 0].any())
    assert torch.equal(stored(x, of_bits([8] * len(x)), (0.0, 1.0)), x)


def test_a_success_within_rounding_is_looked_for_at_the_next_budget() -> None:
    """The boundary lies exactly on a budget: what float32 finds there may not hold inside the exact ball."""
    model, x = linear(), batch(6)
    exact = exact_distance(model, x)
    for i in range(len(x)):
        grid = Grid("linf", (float(exact[i].detach()) * (1 - 1e-9), 0.5))
        outcome = run(model, x[i : i + 1], pgd(num_steps=10), grid)
        assert bool(outcome.reached[0, -1]), i


def test_apgd_whose_steps_begin_too_long_is_not_given_up() -> None:
    setup = resolve(AuditRecipe(data=DataSpec(limit=24), threat=ThreatSpec(epsilons=[0.01])))
    model, x = setup.model, torch.stack([setup.images[i][0] for i in range(24)])
    grid, attack = Grid("linf", (2 / 255, 3 / 255, 4 / 255)), apgd_ce(num_steps=50)
    swept = run(model, x, attack, grid)
    with model.frozen():
        full = each_budget(attack, subjects(model, x), grid, model, honest=True)
    assert bool((swept.reached.sum(0) >= full.reached.sum(0)).all())
    assert swept.backwards.sum() < full.backwards.sum()


def test_a_set_of_attacks_is_nowhere_weaker_than_at_every_budget_on_its_own() -> None:
    model, x = small_net(), batch()
    grid = Grid("linf", EPSILONS)
    attack = autoattack(num_steps=20, num_queries=50)
    shown = subjects(model, x)
    with model.frozen():
        full = each_budget(attack, shown, grid, model, honest=True)
        fast = bisect(attack, shown, grid, SearchModel(model, model), Effort())
    assert bool((fast.reached >= full.reached).all())
    assert 0.1 < float(full.reached.float().mean()) < 0.9
    assert fast.backwards.sum() < full.backwards.sum()
    assert bool((fast.distance <= torch.tensor(grid.epsilons).double()).all())


def test_what_a_lying_search_model_claims_for_a_set_of_attacks_is_attacked_again() -> None:
    model, wrong, x = linear(), linear(seed=5), batch()
    grid = Grid("linf", EPSILONS)
    with model.frozen(), wrong.frozen():
        shown = subjects(model, x)
        outcome = bisect(restarts(pgd(num_steps=10), 2), shown, grid, SearchModel(model, wrong), Effort())
    possible = torch.tensor(EPSILONS).double()[None] >= exact_distance(model, x)[:, None]
    assert bool((outcome.reached <= possible).all())
    assert float(outcome.reached.float().mean()) > 0.9 * float(possible.float().mean())
    assert bool(((outcome.prediction != shown.y[:, None]) == outcome.reached).all())
