"""What a broken line of measuring would change: budgets in closed form, and every success looked at again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from measuring.toys import EPSILONS, decode, exact_distance, image_set, linear, of_bits, subjects
from medrobust.attacks import bim, fgsm, pgd, restarts
from medrobust.data import ImageSet, Sample, View
from medrobust.engine.abilities import Abilities
from medrobust.goals import Goal, untargeted
from medrobust.measuring import Grid, Outcome, Plan, measure, sweep
from medrobust.measuring.bisect import bisect
from medrobust.measuring.each_budget import each_budget
from medrobust.measuring.search_model import SearchModel
from medrobust.measuring.subjects import Subjects
from medrobust.measuring.sweep import Effort
from medrobust.measuring.verify import verify
from medrobust.models.classifier import Classifier
from medrobust.records import sensitivity
from medrobust.streams import Streams
from medrobust.threat import Threat

GRID = Grid("linf", EPSILONS)


def batch(n: int = 24) -> Tensor:
    images = image_set(n)
    return torch.stack([images[i][0] for i in range(n)])


def levels(*rows: list[float]) -> Tensor:
    """Images of one row of pixels, in grey levels of 255."""
    return torch.tensor(rows, dtype=torch.float64)[:, None, None].div(255).float()


def brighter_than(limit: float) -> Callable[[Tensor], Tensor]:
    """Class 1 where the sum of the grey levels is above the limit."""

    def model(x: Tensor) -> Tensor:
        z = (x.double() * 255).flatten(1).sum(1) - limit
        return torch.stack([torch.zeros_like(z), z], 1)

    return model


class Steps(nn.Module):
    """Three classes by the mean: below 0.4, up to 0.6, above."""

    def forward(self, x: Tensor) -> Tensor:
        mean = x.flatten(1).mean(1)
        return torch.stack([0.4 - mean, 0.1 - (mean - 0.5).abs(), mean - 0.6], 1)


@dataclasses.dataclass(frozen=True)
class Brighten:
    """Adds the budget, or what a rule makes of it, to every pixel."""

    by: Callable[[Tensor], Tensor] = lambda radius: radius
    goal: Callable[[Tensor, Tensor], Goal] = untargeted
    abilities: ClassVar[Abilities] = Abilities(needs="labels")

    def __call__(self, model, x, y, threat, *, generator=None) -> Tensor:
        return x + self.by(threat.around(x).radius).reshape(-1, 1, 1, 1)


def one_grey_image(target: int | None) -> Subjects:
    """An image of mean 0.35, read as class 0; the goal is another class, or this one."""
    x = torch.full((1, 1, 2, 2), 0.35)
    y = torch.zeros(1, dtype=torch.long)
    goal = Goal(y, False) if target is None else Goal(torch.tensor([target]), True)
    return Subjects(x, y, goal, Steps()(x), of_bits([8]), Streams.of(0, range(1)))


# The sweep: one bracket an image.


def swept(search: SearchModel, shown: Subjects, grid: Grid = GRID, steps: int = 10) -> Outcome:
    return sweep(pgd(num_steps=steps), shown, grid, search, Effort())


def test_what_the_classifier_denies_is_searched_by_the_classifier_itself() -> None:
    """The copy says the opposite: it claims every image at once, at the smallest budget."""
    model, x = linear(), batch()
    shown = subjects(model, x)
    with model.frozen():
        outcome = swept(SearchModel(model, lambda x: model(x).flip(1)), shown)
    expected = GRID.radii[None] >= exact_distance(model, x)[:, None]
    assert bool((outcome.reached == expected).all())


class Weighted(nn.Module):
    """Two logits whose difference is weight . (x - 1/2) + bias."""

    def __init__(self, weight: Tensor, bias: float) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), bias

    def forward(self, x: Tensor) -> Tensor:
        z = (x.flatten(1) - 0.5) @ self.weight + self.bias
        return torch.stack([torch.zeros_like(z), z], 1)


def test_what_the_copy_loses_by_its_rounding_is_found_by_the_classifier() -> None:
    """The classifier falls at 0.1, by 0.007 in one corner; the copy goes to another one, where it does not."""
    weight = torch.tensor([1.0, 1.0, 0.1])
    turned = torch.tensor([1.0, 1.0, -0.1])
    x = torch.full((1, 1, 1, 3), 0.5)
    model = Classifier(Weighted(weight, -0.203), channels=1)
    copy = Classifier(Weighted(turned, -0.218), channels=1)
    shown = subjects(model, x)
    grid = Grid("linf", (0.05, 0.1, 0.2))
    with model.frozen(), copy.frozen():
        outcome = swept(SearchModel(model, copy, shortfall=0.04), shown, grid)
    assert outcome.reached.tolist() == [[False, True, True]]


class Flattening(nn.Module):
    """The margin climbs fast at first: the boundary is farther away than twice what the gradient says."""

    def forward(self, x: Tensor) -> Tensor:
        z = -1 + 1.1 * (1 - torch.exp(-20 * (x.flatten(1).mean(1) - 0.3)))
        return torch.stack([torch.zeros_like(z), z], 1)


def test_a_boundary_farther_than_the_gradient_says_is_found_at_its_budget() -> None:
    start = torch.linspace(0.29, 0.37, 12)
    x = start.reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
    model = Classifier(Flattening(), channels=1)
    boundary = 0.3 + float(torch.tensor(11.0, dtype=torch.float64).log()) / 20
    grid = Grid("linf", tuple(0.01 * k for k in range(1, 21)))
    with model.frozen():
        outcome = swept(SearchModel(model, model), subjects(model, x), grid)
    expected = grid.radii[None] >= (boundary - x[:, 0, 0, 0].double())[:, None]
    assert 0 < int(expected.sum()) < expected.numel()
    assert bool((outcome.reached == expected).all())


# Bisection, and every budget on its own.


def test_bisection_asks_the_classifier_about_what_the_copy_claims() -> None:
    """One-step attacks get no scout: what the copy finds at each budget is all there is."""
    model, x = linear(), batch()
    shown = subjects(model, x)
    attack = restarts(fgsm(), 2)
    assert attack.abilities.scout is None
    with model.frozen():
        outcome = bisect(attack, shown, GRID, SearchModel(model, lambda x: model(x).flip(1)), Effort())
    expected = GRID.radii[None] >= exact_distance(model, x)[:, None]
    assert bool((outcome.reached == expected).all())


@pytest.mark.parametrize("way", ["bisect", "each budget"])
def test_another_wrong_class_than_the_target_is_wrong_too(way: str) -> None:
    shown, model, grid = one_grey_image(target=2), Steps(), Grid("linf", (0.01, 0.1, 0.3))
    if way == "bisect":
        outcome = bisect(Brighten(), shown, grid, SearchModel(model, model), Effort())
    else:
        outcome = each_budget(Brighten(), shown, grid, model, honest=True)
    assert outcome.prediction[0, :2].tolist() == [0, 1]
    assert not bool(outcome.reached[0, 1])


def test_every_budget_on_its_own_is_the_closed_form() -> None:
    model, x = linear(), batch()
    with model.frozen():
        outcome = each_budget(bim(num_steps=3), subjects(model, x), GRID, model, honest=True)
    expected = GRID.radii[None] >= exact_distance(model, x)[:, None]
    assert bool((outcome.reached == expected).all())


def test_as_published_each_budget_has_the_point_of_its_own_attack() -> None:
    """The attack goes too far to be right at 0.1, and comes back at 0.2."""
    attack = Brighten(by=lambda radius: torch.where(radius > 0.15, 0, radius))
    shown, grid = one_grey_image(target=None), Grid("linf", (0.01, 0.1, 0.2))
    paper = each_budget(attack, shown, grid, Steps(), honest=False)
    assert paper.prediction.tolist() == [[0, 1, 0]]
    honest = each_budget(attack, shown, grid, Steps(), honest=True)
    assert honest.prediction.tolist() == [[0, 1, 1]]


# Verdicts.


def test_a_verdict_is_about_a_point_inside_the_ball_and_the_domain() -> None:
    x = torch.full((2, 1, 1, 2), 0.95)
    ball = Threat(epsilon=torch.tensor([0.2, 0.01])).around(x)
    goal = Goal(torch.ones(2, dtype=torch.long), False)
    found = verify(brighter_than(0), x + 0.15, ball, goal, of_bits([8, 8]))
    assert bool(ball.contains(found.x).all())
    assert float(found.x[0].max()) == 1
    assert float(found.distance[1]) == pytest.approx(0.01, rel=1e-5)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_an_answer_that_is_not_a_number_is_no_success(value: float) -> None:
    """argmax takes NaN for the largest."""
    x = torch.full((1, 1, 1, 2), 0.5)
    ball = Threat(epsilon=0.1).around(x)
    goal = Goal(torch.zeros(1, dtype=torch.long), False)
    found = verify(lambda x: torch.tensor([[0.0, value]]), x + 0.05, ball, goal, of_bits([8]))
    assert not bool(found.reached)
    assert not bool(found.survives)


def test_what_survives_saving_is_asked_of_the_saved_image() -> None:
    """Above 201.15: the point is, the nearest grey levels of the first are not, those of the second are."""
    x = levels([100, 100], [100, 100])
    ball = Threat(epsilon=2 / 255).around(x)
    goal = Goal(torch.zeros(2, dtype=torch.long), False)
    found = verify(brighter_than(201.15), levels([100.9, 100.4], [101.3, 100.6]), ball, goal, of_bits([8, 8]))
    assert found.reached.tolist() == [True, True]
    assert found.survives.tolist() == [False, True]


def test_a_change_that_saving_undoes_does_not_survive() -> None:
    """The image lies between two grey levels: saving alone changes its answer, and the attack adds nothing to that."""
    x = levels([100.6])
    ball = Threat(epsilon=2 / 255).around(x)
    goal = Goal(torch.zeros(1, dtype=torch.long), False)
    found = verify(brighter_than(100.8), levels([100.9]), ball, goal, of_bits([8]))
    assert bool(found.reached)
    assert not bool(found.survives)


def test_budgets_below_half_a_grey_level_leave_nothing_in_a_file() -> None:
    """Every decision flips at the first or second budget, and no rounded image differs from the one it came from."""
    model, x = Classifier(Weighted(torch.ones(4), -0.0004), channels=1), torch.full((3, 1, 2, 2), 128 / 255)
    with torch.no_grad():
        model.network.bias = -float(model.network(x)[0, 1]) - 0.0004
    grid = Grid("linf", (0.2e-3, 0.5e-3, 1e-3, 1.9e-3))
    with model.frozen():
        outcome = swept(SearchModel(model, model), subjects(model, x), grid)
    assert bool(outcome.reached[:, 1:].all())
    assert not bool(outcome.survives.any())


def test_a_larger_budget_takes_a_longer_step_that_survives() -> None:
    model, x = Classifier(Weighted(torch.ones(4), 0.0), channels=1), torch.full((3, 1, 2, 2), 128 / 255)
    with torch.no_grad():
        model.network.bias = -float(model.network(x)[0, 1]) - 0.0004
    grid = Grid("linf", (0.5e-3, 1.9e-3, 8e-3))
    with model.frozen():
        outcome = swept(SearchModel(model, model), subjects(model, x), grid)
    assert outcome.survives.tolist() == [[False, False, True]] * 3


# Whole measurements.


def plan(**changes) -> Plan:
    return dataclasses.replace(Plan(attacks={"pgd": pgd(num_steps=10)}, grids=(GRID,), batch_size=8), **changes)


def test_an_image_that_is_wrong_untouched_has_the_flip_of_its_answer() -> None:
    """Referral needs how far the answer is from changing, right or wrong."""
    model, images = linear(), image_set(24)
    records, _ = measure(model, images, plan())
    wrong = records.clean["clean_prediction"] != records.clean["label"]
    exact = exact_distance(model, batch()).detach().numpy()
    budgets = np.array([*EPSILONS, np.inf])
    expected = budgets[np.searchsorted(EPSILONS, exact)]
    assert 0 < wrong.sum() < len(wrong)
    assert (sensitivity(records, "linf").epsilon_flip == expected).all()
    assert np.isfinite(expected[wrong]).any()


def test_equal_pictures_have_random_numbers_of_their_own() -> None:
    samples = [Sample(f"i{k}", None, k % 2, f"g{k}", frame=0) for k in range(6)]
    images = ImageSet("toy", ["c0", "c1"], samples, view=View(None, "grey"), decode=decode)
    still = pgd(num_steps=1, step_size=0.0, random_start=True)
    grids = (Grid("linf", (0.1,)),)
    records, _ = measure(linear(), images, plan(attacks={"noise": still}, grids=grids, protocol="paper"))
    distance = records.where(attack="noise")["distance"]
    assert len(set(distance.tolist())) == len(samples)
