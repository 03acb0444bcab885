"""What a broken line of an objective would change: losses from their formulas, written out once more."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medrobust.attacks import pgd
from medrobust.data import Batch
from medrobust.models import Classifier
from medrobust.objectives import (
    Adaptive,
    Adversarial,
    Awp,
    Constant,
    Dpaat,
    Fast,
    Feedback,
    GradientRegularized,
    LocallyLinear,
    Mart,
    Mirst,
    Trades,
    TrainingObjective,
    WarmUp,
)
from medrobust.testing.objectives import slope_error, smooth_toy
from medrobust.threat import Threat

THREAT = Threat(epsilon=0.1)


def given() -> tuple[Classifier, Batch, Tensor, Tensor, Tensor]:
    """Model, batch, some x_adv, and the log-probabilities of both."""
    model, batch = smooth_toy()
    torch.manual_seed(3)
    x_adv = THREAT.around(batch.x).project(batch.x + 0.2 * torch.randn_like(batch.x))
    # A steeper last layer: the two directions of a divergence differ by more than rounding.
    with torch.no_grad():
        model.network[-1].weight.mul_(20)
    log_p, log_q = (model(x).log_softmax(1) for x in (batch.x, x_adv))
    return model, batch, x_adv, log_p, log_q


def kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    return (log_p.exp() * (log_p - log_q)).sum(1)


def test_trades_is_cross_entropy_plus_beta_times_the_divergence_from_clean_to_adversarial() -> None:
    model, batch, x_adv, log_p, log_q = given()
    there, back = kl(log_p, log_q).mean(), kl(log_q, log_p).mean()
    assert abs((there - back).item()) > 1e-3 * there.item()
    expected = F.nll_loss(log_p, batch.y) + 6 * there
    torch.testing.assert_close(Trades(THREAT).loss(model, batch, x_adv).total, expected)


def test_trades_climbs_that_divergence_and_not_the_other() -> None:
    model, batch, _, log_p, _ = given()
    objective = Trades(THREAT, attack=pgd(num_steps=6, relative_step_size=0.5))
    ball, noise = THREAT.around(batch.x), objective.streams(batch).child("noise").normal(batch.x)
    ends = []
    for forward in (True, False):
        x = ball.project(batch.x + 1e-3 * noise)
        for _ in range(6):
            x = x.detach().requires_grad_()
            log_q = model(x).log_softmax(1)
            gap = kl(log_p.detach(), log_q) if forward else kl(log_q, log_p.detach())
            (slope,) = torch.autograd.grad(gap.sum(), x)
            x = ball.project(x.detach() + 0.05 * slope.sign())
        ends.append(x)
    assert not torch.allclose(*ends)
    torch.testing.assert_close(objective.search(model, batch), ends[0])


def test_mart_weighs_the_divergence_by_the_doubt_of_the_label() -> None:
    model, batch, x_adv, log_p, log_q = given()
    own = batch.y[:, None]
    rival = log_q.exp().scatter(1, own, 0).amax(1)
    boosted = F.nll_loss(log_q, batch.y) - (1 - rival).log().mean()
    doubt = 1 - log_p.exp().gather(1, own)[:, 0]
    expected = boosted + 5 * (kl(log_p, log_q) * doubt).mean()
    torch.testing.assert_close(Mart(THREAT).loss(model, batch, x_adv).total, expected)


def test_clean_weight_is_the_weight_of_the_clean_loss() -> None:
    model, batch, x_adv, log_p, log_q = given()
    expected = 0.2 * F.nll_loss(log_p, batch.y) + 0.8 * F.nll_loss(log_q, batch.y)
    torch.testing.assert_close(Adversarial(THREAT, clean_weight=0.2).loss(model, batch, x_adv).total, expected)


def test_mirst_gives_each_instance_its_weight() -> None:
    model, batch, x_adv, log_p, log_q = given()
    half = (batch.x + x_adv) / 2
    log_h = model(half).log_softmax(1)
    objective = Mirst(THREAT, instances=(3, 5), weights=(0.7, 0.1), alpha=2.0)
    clean, first, second = (F.nll_loss(z, batch.y) for z in (log_p, log_q, log_h))
    torch.testing.assert_close(
        objective.loss(model, batch, [x_adv, half]).total, clean + 2 * (0.7 * first + 0.1 * second)
    )


def test_the_first_instance_is_the_image_itself() -> None:
    """x_2 is one step away: step_size from the image in every pixel that does not stand at its edge."""
    model, batch = smooth_toy()
    objective = Mirst(THREAT, instances=(2, 4), weights=(0.5, 0.5))
    second, fourth = objective.search(model, batch)
    assert float((second - batch.x).abs().max()) == pytest.approx(0.01)
    assert float((fourth - batch.x).abs().max()) == pytest.approx(0.03)


def test_gr_is_the_squared_length_of_the_slope_and_teaches() -> None:
    model, batch = smooth_toy()
    x = batch.x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(F.cross_entropy(model(x), batch.y, reduction="sum"), x)
    loss = GradientRegularized(weight=3.0).loss(model, batch, None)
    expected = F.cross_entropy(model(batch.x), batch.y) + 3 * slope.square().flatten(1).sum(1).mean()
    torch.testing.assert_close(loss.total, expected)
    assert slope_error(GradientRegularized(weight=3.0), model, batch) < 1e-6


def test_llr_is_the_bend_and_the_tilt_along_the_change() -> None:
    model, batch, x_adv, log_p, log_q = given()
    x = batch.x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(F.cross_entropy(model(x), batch.y, reduction="sum"), x)
    there, here = (F.nll_loss(z, batch.y, reduction="none") for z in (log_p, log_q))
    rise = (slope * (x_adv - batch.x)).flatten(1).sum(1)
    expected = there.mean() + 3 * (here - there - rise).abs().mean() + 4 * rise.abs().mean()
    torch.testing.assert_close(LocallyLinear(THREAT).loss(model, batch, x_adv).total, expected)


def test_llr_climbs_the_bend() -> None:
    model, batch, *_ = given()
    objective = LocallyLinear(THREAT, attack=pgd(num_steps=1, relative_step_size=0.5))
    found = objective.search(model, batch)
    x = batch.x.clone().requires_grad_()
    there = F.cross_entropy(model(x), batch.y, reduction="none")
    (slope,) = torch.autograd.grad(there.sum(), x)
    start = THREAT.around(batch.x).sample(objective.streams(batch)).requires_grad_()
    here = F.cross_entropy(model(start), batch.y, reduction="none")
    bend = (here - there.detach() - (slope * (start - batch.x)).flatten(1).sum(1)).abs()
    (up,) = torch.autograd.grad(bend.sum(), start)
    torch.testing.assert_close(found, THREAT.around(batch.x).project(start.detach() + 0.05 * up.sign()))


def test_dpaat_adds_the_divergence_to_sat() -> None:
    model, batch, x_adv, log_p, log_q = given()
    middle = ((log_p.exp() + log_q.exp()) / 2).log()
    js = ((kl(log_p, middle) + kl(log_q, middle)) / 2).mean()
    sat = (F.nll_loss(log_p, batch.y) + F.nll_loss(log_q, batch.y)) / 2
    torch.testing.assert_close(Dpaat(THREAT, synchronization=2.0).loss(model, batch, x_adv).total, sat + 2 * js)


def test_amat_budgets_follow_equation_5() -> None:
    """Below the threshold: grows. Above it: half way to the distance. Never beyond the largest."""
    rule = Adaptive(4, start=1.0, growth=0.5, largest=1.2, threshold=0.7)
    index = torch.tensor([0, 1, 2])
    loss, distance = torch.tensor([0.1, 2.0, 2.0]), torch.tensor([1.0, 0.4, 5.0])
    rule.update(index, Feedback(loss, loss > 0.7, distance))
    assert rule(torch.arange(4)).tolist() == pytest.approx([1.2, 0.7, 1.2, 1.0])


def test_a_warm_up_grows_epoch_by_epoch() -> None:
    rule, seen = WarmUp(Constant(1.0), num_epochs=3), []
    for _ in range(5):
        seen.append(float(rule(torch.tensor([0]))))
        rule.end_epoch()
    assert seen == pytest.approx([0.25, 0.5, 0.75, 1, 1])


def test_n_fgsm_steps_from_its_noise_and_stays_there() -> None:
    model, batch = smooth_toy()
    objective = Fast(THREAT, kind="n_fgsm", noise=1.0)
    noisy = THREAT.around(batch.x).sample(objective.streams(batch))
    x = noisy.clone().requires_grad_()
    (slope,) = torch.autograd.grad(F.cross_entropy(model(x), batch.y, reduction="sum"), x)
    torch.testing.assert_close(objective.search(model, batch), (noisy + 0.1 * slope.sign()).clamp(0, 1))


def test_grad_align_teaches_through_the_slopes() -> None:
    assert slope_error(Fast(THREAT, kind="grad_align", align_weight=5.0), *smooth_toy()) < 1e-6


def with_batch_norm() -> tuple[Classifier, Batch]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    return Classifier(net, channels=1), Batch(torch.rand(6, 1, 6, 6), torch.arange(6) % 3, torch.arange(6))


@pytest.mark.parametrize("inner", [Adversarial(THREAT), Trades(THREAT)], ids=lambda inner: type(inner).__name__)
def test_running_statistics_see_the_batch_once(inner: TrainingObjective) -> None:
    """An extra pass, of a search or of AWP, leaves no trace in batch norm."""
    model, batch = with_batch_norm()
    plain, moved = copy.deepcopy(model).train(), copy.deepcopy(model).train()
    inner.loss(plain, batch, inner.search(plain, batch))
    awp = Awp(inner, gamma=0.0001)
    found = awp.search(moved, batch)
    awp.loss(moved, batch, found)
    assert int(moved.network[1].num_batches_tracked) == int(plain.network[1].num_batches_tracked) == 1
    torch.testing.assert_close(moved.network[1].running_mean, plain.network[1].running_mean, rtol=1e-2, atol=1e-4)
