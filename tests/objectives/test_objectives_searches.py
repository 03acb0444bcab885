"""What each objective looks for, and what it remembers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from medrobust.attacks import pgd
from medrobust.data import Batch
from medrobust.errors import UserError
from medrobust.models import Classifier
from medrobust.norms import L2, Linf
from medrobust.objectives import Amat, Dpaat, Fast, Free, LocallyLinear, Mirst, Trades, make_objective
from medrobust.objectives.base import divergence
from medrobust.objectives.dpaat import resized, synchronization_loss
from medrobust.testing.objectives import smooth_toy
from medrobust.threat import Threat

THREAT = Threat(epsilon=0.1)


def test_trades_looks_for_disagreement_not_for_errors() -> None:
    model, batch = smooth_toy()
    x_adv = Trades(THREAT, attack=pgd(num_steps=20)).search(model, batch)
    assert bool(THREAT.around(batch.x).contains(x_adv, 1e-6).all())
    gap = divergence(model(batch.x), model(x_adv))
    for seed in range(5):
        other = THREAT.around(batch.x).sample(Trades(THREAT, seed=seed).streams(batch))
        assert bool((gap > divergence(model(batch.x), model(other))).all())


def test_trades_asks_for_the_clean_logits_once() -> None:
    model, batch = smooth_toy()
    calls: list[int] = []
    model.network.register_forward_hook(lambda *_: calls.append(1))
    Trades(THREAT, attack=pgd(num_steps=5)).search(model, batch)
    assert len(calls) == 6


def test_mirst_takes_no_step_after_its_last_instance() -> None:
    model, batch = smooth_toy()
    calls: list[int] = []
    model.network.register_forward_hook(lambda *_: calls.append(1))
    attack = pgd(num_steps=10, relative_step_size=0.1, random_start=False)
    found = Mirst(THREAT, attack=attack).search(model, batch)
    assert len(calls) == 8
    whole = [p.x for p in attack.trajectory(model, batch.x, batch.y, THREAT)[1]]
    for j, number in enumerate((3, 5, 7, 9)):
        torch.testing.assert_close(found[j], whole[number - 1], rtol=0, atol=1e-7)


def test_llr_looks_for_bends() -> None:
    model, batch = smooth_toy()
    objective = LocallyLinear(THREAT, attack=pgd(num_steps=20))
    best = objective.loss(model, batch, objective.search(model, batch)).parts["bend"]
    for seed in range(5):
        other = THREAT.around(batch.x).sample(LocallyLinear(THREAT, seed=seed).streams(batch))
        assert best > objective.loss(model, batch, other).parts["bend"]


def test_llr_and_grad_align_find_nothing_wrong_with_a_linear_loss() -> None:
    class Linear(nn.Module):
        """Two logits (0, s) with s so small that the cross-entropy is linear in it."""

        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(1e-4 * torch.randn(36, dtype=torch.float64))

        def forward(self, x):
            s = x.flatten(1) @ self.w
            return torch.stack([torch.zeros_like(s), s], 1)

    _, batch = smooth_toy(num_classes=2)
    model = Classifier(Linear(), channels=1)
    llr = LocallyLinear(THREAT)
    parts = llr.loss(model, batch, llr.search(model, batch)).parts
    assert parts["bend"] < 1e-6
    assert parts["tilt"] > 1e-5
    align = Fast(THREAT, kind="grad_align")
    assert align(model, batch).parts["alignment"] == pytest.approx(1)


@pytest.mark.parametrize("norm", [Linf(), L2()])
def test_resized_projects_or_extends(norm) -> None:
    x = torch.rand(4, 1, 3, 3, dtype=torch.float64)
    x_adv = x + norm.project(torch.randn_like(x), 0.3)
    size = norm.size(x_adv - x)
    radius = size * torch.tensor([0.5, 1.0, 2.0, 0.0])
    moved = resized(x, x_adv, radius, norm)
    torch.testing.assert_close(norm.size(moved - x), radius)
    torch.testing.assert_close(moved[2] - x[2], 2 * (x_adv[2] - x[2]))


def test_dpaat_radius_is_equation_15() -> None:
    objective = Dpaat(THREAT, max_scale=1.5)
    change, distance = torch.tensor([0.2, 0.4, 0.9]), torch.tensor([0.1, 0.08, 0.1])
    epsilon = torch.full((3,), 0.1)
    # mean 0.5: gamma = 0.1 * |0.3, 0.1, 0.4| / 0.5
    expected = torch.tensor([min(0.1 + 0.06, 0.15), 0.08 + 0.02, 0.1 - 0.08])
    torch.testing.assert_close(objective.radius(change, distance, epsilon), expected)
    # A negative mean keeps its meaning, and nothing divides by zero.
    assert objective.radius(-change, distance, epsilon)[2] > 0.1
    assert bool(torch.isfinite(objective.radius(torch.zeros(3), distance, epsilon)).all())
    assert float(objective.radius(torch.tensor([-1.0, 1.0, 0.0]), distance, epsilon).max()) == pytest.approx(0.15)


def test_dpaat_moves_examples_to_their_radii_inside_the_domain() -> None:
    model, batch = smooth_toy()
    objective = Dpaat(
        Threat(epsilon=0.1, norm=L2()), attack=pgd(num_steps=3, relative_step_size=0.5, random_start=False)
    )
    x_adv = objective.search(model, batch)
    sizes = (x_adv - batch.x).flatten(1).norm(dim=1)
    assert len(sizes.round(decimals=5).unique()) == len(sizes)
    assert float(x_adv.min()) >= 0
    assert float(x_adv.max()) <= 1


def test_synchronization_is_jensen_shannon() -> None:
    p, q = torch.randn(5, 4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    P, Q = p.softmax(1), q.softmax(1)  # noqa: N806
    M = (P + Q) / 2  # noqa: N806
    expected = ((P * (P / M).log()).sum(1) + (Q * (Q / M).log()).sum(1)).mean() / 2
    torch.testing.assert_close(synchronization_loss(p, q), expected)
    printed = -((P * (P / (P + Q)).log()).sum(1) + (Q * (Q / (P + Q)).log()).sum(1)).mean() / 2
    torch.testing.assert_close(synchronization_loss(p, q, as_printed=True), printed)
    far = torch.tensor([[500.0, -500.0]])
    assert float(synchronization_loss(far, -far)) == pytest.approx(math.log(2))


class Brightness(nn.Module):
    """Class 1 where the mean is above one half."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(20.0))

    def forward(self, x):
        z = self.scale * (x.flatten(1).mean(1) - 0.5)
        return torch.stack([torch.zeros_like(z), z], 1)


def bright(*means: float) -> Batch:
    x = torch.tensor(means).reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
    return Batch(x, (x[:, 0, 0, 0] > 0.5).long(), torch.arange(len(means)))


def test_amat_budgets_grow_or_come_back() -> None:
    model, batch = Classifier(Brightness(), channels=1), bright(0.1, 0.45)
    objective = Amat(THREAT, num_images=2, growth=0.5, largest=1.8)
    budgets = []
    for _ in range(3):
        objective.search(model, batch)
        budgets.append(objective.epsilon(batch.index).tolist())
    assert [b[0] for b in budgets] == pytest.approx([0.15, 0.18, 0.18])  # far from the boundary: grows to the cap
    assert budgets[0][1] == pytest.approx(0.1)  # reached: the mean of epsilon and the distance, both 0.1


def test_amat_crossing_finds_the_boundary() -> None:
    model, batch = Classifier(Brightness(), channels=1), bright(0.1, 0.46, 0.55)
    objective = Amat(THREAT, num_images=3, crossing=True)
    objective.search(model, batch)
    assert objective.epsilon(batch.index).tolist() == pytest.approx([0.11, 0.04, 0.05], abs=2e-4)


def test_n_fgsm_goes_beyond_the_ball_and_fgsm_rs_does_not() -> None:
    model, batch = smooth_toy()
    far = Fast(THREAT, kind="n_fgsm", noise=2.0).search(model, batch)
    assert 0.1 < float((far - batch.x).abs().max()) <= 0.3 + 1e-9
    near = Fast(THREAT, kind="fgsm_rs").search(model, batch)
    assert float((near - batch.x).abs().max()) == pytest.approx(0.1)


def test_free_training_climbs_with_the_gradient_of_the_step() -> None:
    model, batch = smooth_toy()
    objective = Free(THREAT, num_replays=3)
    values, points = [], []
    for _ in range(4):
        loss = objective(model, batch)
        points.append(objective._x.detach().clone())
        loss.total.backward()
        objective.after_backward()
        values.append(float(loss.total.detach()))
    assert values[0] < values[1] <= values[2] + 1e-9
    assert values[3] == values[0]  # a new batch starts anew
    assert bool(THREAT.around(batch.x).contains(points[2], 1e-6).all())
    slope = torch.autograd.grad(Free(THREAT).loss(model, batch, points[0].requires_grad_()).total, points[0])[0]
    expected = THREAT.around(batch.x).project(points[0].detach() + 0.1 * slope.sign())
    torch.testing.assert_close(points[1], expected)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("mirst", {"instances": [3, 5]}, "4 weights for 2 instances"),
        ("mirst", {"instances": [1, 3, 5, 7]}, "from 2 to 11"),
        ("mirst", {"instances": [3, 5, 7, 13]}, "from 2 to 11"),
        ("trades", {"beta": -1}, "beta must be 0"),
        ("fast", {"kind": "fgsm"}, "unknown kind"),
        ("free", {"num_replays": 0}, "num_replays"),
        ("amat", {"start": 3}, "start <= largest"),
        ("trades", {"betta": 1}, "did you mean 'beta'"),
        ("trade", {}, "did you mean 'trades'"),
        ("adversarial", {"seed": 3}, "no such option"),
    ],
)
def test_bad_options(name: str, options: dict, says: str) -> None:
    attack = pgd(num_steps=10, relative_step_size=0.1)
    with pytest.raises(UserError, match=f"(?i){says}"):
        make_objective(name, options, threat=THREAT, attack=attack, num_images=3, seed=0)
