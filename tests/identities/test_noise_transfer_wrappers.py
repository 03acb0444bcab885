"""Noise does what its name says, transfer asks the model once, wrappers give gradients where there are none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from medrobust.attacks import fgsm, pgd
from medrobust.attacks.noise import gaussian_noise, rician_noise, uniform_noise
from medrobust.attacks.transfer import transfer
from medrobust.engine.count import Counted
from medrobust.goals import Goal
from medrobust.models.wrappers import bpda, eot
from medrobust.norms import NORMS
from medrobust.streams import Streams
from medrobust.testing import TinyModel, images_of
from medrobust.threat import Threat

norms = pytest.mark.parametrize("norm", NORMS)
SHAPE = (3, 4, 4)
MODEL = TinyModel(SHAPE, 5).eval()
X, Y = images_of(MODEL, SHAPE, 8)
GREY = torch.full((200, 1, 8, 8), 0.5)


def never(x: Tensor) -> Tensor:
    """A model that always says class 0."""
    return torch.tensor([[1.0, 0.0]]).expand(len(x), 2)


def zeros(n: int) -> Tensor:
    return torch.zeros(n, dtype=torch.long)


@norms
@pytest.mark.parametrize("noise", [gaussian_noise, rician_noise])
def test_noise_fills_the_budget(noise, norm: str) -> None:  # type: ignore[no-untyped-def]
    epsilon = 0.02 * float(NORMS[norm].size(torch.ones(1, 1, 8, 8)))
    x_adv = noise(num_draws=1)(never, GREY, zeros(200), Threat(epsilon=epsilon, norm=NORMS[norm]))
    torch.testing.assert_close(NORMS[norm].size(x_adv - GREY), torch.full((200,), epsilon), rtol=1e-4, atol=0)


def test_gaussian_noise_is_gaussian() -> None:
    x_adv = gaussian_noise(num_draws=1)(never, GREY, zeros(200), Threat(epsilon=0.8, norm=NORMS["l2"]))
    z = (x_adv - GREY).flatten() * 8 / 0.8
    assert abs(float(z.mean())) < 0.04
    assert float(z.std()) == pytest.approx(1, abs=0.02)
    assert float((z**4).mean()) == pytest.approx(3, abs=0.25)


@norms
def test_uniform_noise_is_a_sample_of_the_ball(norm: str) -> None:
    threat, streams = Threat(epsilon=0.3, norm=NORMS[norm]), Streams.of(0, range(200))
    x_adv = uniform_noise(num_draws=1)(never, GREY, zeros(200), threat, generator=streams)
    draw = streams.child("attack", 0).child("noise")
    assert torch.equal(x_adv, threat.around(GREY).sample(draw))


def test_rician_noise_brightens_only_where_there_is_no_signal() -> None:
    dark = torch.zeros(200, 1, 8, 8)
    threat = Threat(epsilon=0.4, norm=NORMS["l2"])
    noise = rician_noise(num_draws=1)
    assert float((noise(never, dark, zeros(200), threat) - dark).amin()) >= 0
    # Rayleigh: mean / root mean square = sqrt(pi) / 2. With a strong signal the noise is symmetric instead.
    d = noise(never, dark, zeros(200), threat).flatten()
    assert float(d.mean() / d.pow(2).mean().sqrt()) == pytest.approx(torch.pi**0.5 / 2, abs=0.01)
    d = (noise(never, GREY, zeros(200), threat) - GREY).flatten()
    assert abs(float(d.mean() / d.std())) < 0.08
    # The domain of CT begins below zero: its lowest value is the one without signal.
    air = torch.full((200, 1, 8, 8), -1000.0)
    ct = noise(never, air, zeros(200), Threat(epsilon=1600.0, norm=NORMS["l2"], domain=(-1000.0, 3000.0)))
    torch.testing.assert_close((ct - air) / 4000, noise(never, dark, zeros(200), threat) - dark, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("noise", [uniform_noise, gaussian_noise, rician_noise])
def test_more_draws_only_add_and_a_broken_image_is_left_alone(noise) -> None:  # type: ignore[no-untyped-def]
    threat, streams = Threat(epsilon=0.2), Streams.of(0, range(8))
    won = []
    for num_draws in (1, 4, 16):
        model = Counted(MODEL, 8)
        found = noise(num_draws=num_draws)(model, X, Y, threat, generator=streams)
        reached = Goal(Y, False).reached(MODEL(found).detach())
        assert bool((model.forwards[~reached] == num_draws).all())
        assert bool((model.forwards <= num_draws).all())
        assert int(model.backwards.sum()) == 0
        won.append(reached)
    assert bool((won[1] | ~won[0]).all())
    assert bool((won[2] | ~won[1]).all())
    with pytest.raises(ValueError, match="1 or more"):
        noise(num_draws=0)


def test_transfer_asks_the_model_once_a_surrogate() -> None:
    threat, streams = Threat(epsilon=0.1), Streams.of(0, range(8))
    weak = TinyModel(SHAPE, 5, seed=9).eval()
    target = Counted(MODEL, 8)
    found = transfer(pgd(num_steps=3), weak, MODEL)(target, X, Y, threat, generator=streams)
    first = transfer(pgd(num_steps=3), weak)(MODEL, X, Y, threat, generator=streams)
    fell_first = Goal(Y, False).reached(MODEL(first).detach())
    assert torch.equal(found[fell_first], first[fell_first])
    assert target.forwards.tolist() == [1 if fell else 2 for fell in fell_first.tolist()]
    assert int(target.backwards.sum()) == 0
    # The model itself as surrogate is the attack itself, with the stream of the second place.
    alone = pgd(num_steps=3)(MODEL, X, Y, threat, generator=streams.child("attack", 1))
    assert torch.equal(found[~fell_first], alone[~fell_first])
    with pytest.raises(ValueError, match="surrogate"):
        transfer(pgd())


def quantized(x: Tensor) -> Tensor:
    return (x * 32).round() / 32


def test_bpda_sees_through_quantization() -> None:
    model = bpda(MODEL, quantized)
    x = X.clone().requires_grad_()
    assert torch.equal(model(x), MODEL(quantized(X))), "the value is that of the forward map, bit for bit"
    (grad,) = torch.autograd.grad(model(x).sum(), x)
    at = quantized(X).requires_grad_()
    (expected,) = torch.autograd.grad(MODEL(at).sum(), at)
    torch.testing.assert_close(grad, expected)
    masked = nn.Sequential(Rounded(), MODEL)
    threat = Threat(epsilon=0.1)
    blind, seeing = (fgsm()(net, X, Y, threat) for net in (masked, model))
    assert torch.equal(blind, X), "rounding has no gradient"
    goal = Goal(Y, False)
    assert int(goal.reached(masked(seeing)).sum()) >= 6


class Rounded(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return quantized(x)


def test_bpda_takes_a_stand_in() -> None:
    model = bpda(nn.Identity(), torch.sign, torch.tanh)
    x = torch.tensor([[0.5, -2.0]], requires_grad=True)
    model(x).sum().backward()
    assert model(x).tolist() == [[1, -1]]
    torch.testing.assert_close(x.grad, 1 - x.detach().tanh() ** 2)


def test_eot_is_the_mean_of_the_draws_and_of_their_gradients() -> None:
    weight = torch.randn(5, 48)

    def randomized(x: Tensor) -> Tensor:
        return x.flatten(1) @ (weight + torch.randn(5, 48)).T

    x = X.clone().requires_grad_()
    torch.manual_seed(3)
    mean = eot(randomized, 30)(x)
    (grad,) = torch.autograd.grad(mean[:, 0].sum(), x)
    torch.manual_seed(3)
    each = [randomized(x) for _ in range(30)]
    torch.testing.assert_close(mean, torch.stack(each).mean(0))
    (expected,) = torch.autograd.grad(torch.stack(each).mean(0)[:, 0].sum(), x)
    torch.testing.assert_close(grad, expected)
    assert not torch.equal(each[0], each[1]), "every pass draws again"
    with pytest.raises(ValueError, match="num_samples"):
        eot(randomized, 0)
