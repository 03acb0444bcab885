"""The search towards several classes: what it costs, when it is content, and which goals it takes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from measuring.toys import of_bits
from medrobust.attacks import apgd, fmn, smallest, smallest_t
from medrobust.attacks.combine import Scouted
from medrobust.engine.count import Counted
from medrobust.engine.until_reached import Near
from medrobust.goals import Goal, targeted
from medrobust.losses import margin
from medrobust.measuring.bisect import bisect
from medrobust.measuring.outcome import Grid
from medrobust.measuring.search_model import SearchModel
from medrobust.measuring.subjects import Subjects
from medrobust.measuring.sweep import Effort
from medrobust.norms import NORMS
from medrobust.streams import Streams
from medrobust.threat import Threat


def network(num_outputs: int) -> nn.Module:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, num_outputs))
    return net.requires_grad_(False)


X = torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(2))


def answers(model: nn.Module, x: Tensor) -> Tensor:
    logits = model(x)
    return (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("num_outputs", [1, 2, 3, 6])
def test_it_takes_as_many_gradients_as_it_says(num_outputs: int, norm: str) -> None:
    model = network(num_outputs)
    y = answers(model, X)
    counted = Counted(model, len(X))
    x_adv = smallest_t(num_steps=30)(counted, X, y, Threat(norm=norm))
    assert counted.backwards.tolist() == [30] * len(X)
    assert bool((answers(model, x_adv) != y).all())


@pytest.mark.parametrize("norm", NORMS)
def test_with_two_classes_it_is_smallest(norm: str) -> None:
    model = network(2)
    y = answers(model, X)
    both = [attack(num_steps=30)(model, X, y, Threat(norm=norm)) for attack in (smallest, smallest_t)]
    assert torch.equal(*both)


@pytest.mark.parametrize("norm", NORMS)
def test_more_targets_split_the_steps(norm: str) -> None:
    model = network(6)
    y = answers(model, X)
    counted = Counted(model, len(X))
    smallest_t(num_steps=33, num_targets=5)(counted, X, y, Threat(norm=norm))
    assert counted.backwards.tolist() == [33] * len(X)


def test_a_target_and_several_labels() -> None:
    model = network(4)
    y = answers(model, X)
    x_adv = smallest_t(goal=targeted(3))(model, X, y, Threat(norm="l2"))
    assert bool((answers(model, x_adv) == 3).all())
    labels = (model(X) > 0).long()
    x_adv = smallest_t()(model, X, labels, Threat(norm="l2"))
    assert bool(((model(x_adv) > 0).long() != labels).any(1).all())


@pytest.mark.parametrize("norm", NORMS)
def test_a_search_that_is_content_costs_less_and_finds_within(norm: str) -> None:
    model = network(3)
    y = answers(model, X)
    size = NORMS[norm].size
    far = 1.3 * float(size(smallest_t()(model, X, y, Threat(norm=norm)) - X).max())
    for attack in (smallest_t().abilities.nearing(far), Near(smallest(), far)):
        counted = Counted(model, len(X))
        x_adv = attack(counted, X, y, Threat(norm=norm))
        assert bool((answers(model, x_adv) != y).all())
        assert bool((size(x_adv - X) <= far).all())
        assert int(counted.backwards.max()) < 40


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("scout", [smallest(), smallest_t(), fmn(num_steps=40)])
def test_a_scout_that_is_content_gives_the_same_verdicts(scout, norm: str) -> None:
    """No smaller budget is asked about than the smallest: a nearer point would change no verdict."""
    model = network(3)
    y = answers(model, X)
    sizes = NORMS[norm].size(smallest_t()(model, X, y, Threat(norm=norm)) - X).sort().values
    grid = Grid(norm, tuple(float(sizes[k]) * 1.2 for k in (2, 4, 6)))
    subjects = Subjects(X, y, Goal(y, False), model(X), of_bits([8] * len(X)), Streams.of(0, range(len(X))))
    attack = Scouted(apgd(num_steps=20, loss=margin), scout)
    outcome = bisect(attack, subjects, grid, SearchModel(model, model), Effort())
    reached, cost = outcome.reached, outcome.backwards.sum(1)
    least = NORMS[norm].size(scout(model, X, y, Threat(norm=norm)) - X)
    for column, epsilon in enumerate(grid.epsilons):
        assert bool(reached[least <= epsilon, column].all())
    assert bool(reached[:, 0].any())
    assert bool((cost[reached[:, 0]] < 40).any())
    assert bool((cost[~reached[:, 0]] > 40).all())
