"""HopSkipJump from decisions alone comes near the closed form of linear models, and never asks more than it may."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import Tensor, nn

from medrobust.attacks.hop_skip_jump import hop_skip_jump
from medrobust.engine.count import Counted
from medrobust.goals import Goal, Targeted, predicted
from medrobust.norms import NORMS
from medrobust.streams import Streams
from medrobust.testing import LinearModel, TinyModel, images_of
from medrobust.threat import Threat

norms = pytest.mark.parametrize("norm", ["linf", "l2"])
SHAPE = (3, 4, 4)
MODEL = TinyModel(SHAPE, 5).eval()
X, Y = images_of(MODEL, SHAPE, 6)


def opaque(model: nn.Module) -> nn.Module:
    """Only the class comes out."""

    class Opaque(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            logits = model(x).detach()
            return logits.sign() if logits.shape[1] == 1 else nn.functional.one_hot(logits.argmax(1), logits.shape[1])

    return Opaque()


@norms
@pytest.mark.parametrize("num_outputs", [1, 2])
@pytest.mark.parametrize("shape", [(1, 4, 6), (1, 2, 3, 4)])
def test_linear_models_within_a_tenth_of_the_optimum(norm: str, num_outputs: int, shape: tuple[int, ...]) -> None:
    random = torch.Generator().manual_seed(0)
    weight = torch.randn(num_outputs, 24, generator=random)
    model = LinearModel(weight, -weight.sum(1) / 2)
    x = 0.5 + 0.1 * (torch.rand(6, *shape, generator=random) - 0.5)
    y = (model(x)[:, 0] > 0).long() if num_outputs == 1 else model(x).argmax(1)
    x_adv = hop_skip_jump(num_queries=3000)(opaque(model), x, y, Threat(norm=NORMS[norm]), generator=0)
    assert bool(Goal(y, False).reached(model(x_adv)).all())
    ratio = NORMS[norm].size(x_adv - x) / model.distance(x, y, NORMS[norm])
    assert float(ratio.min()) > 0.999
    assert float(ratio.max()) < 1.1


@norms
def test_more_queries_come_nearer_and_the_budget_is_never_exceeded(norm: str) -> None:
    size = []
    for num_queries in (40, 400, 3000):
        model = Counted(MODEL, len(X))
        x_adv = hop_skip_jump(num_queries=num_queries)(model, X, Y, Threat(norm=NORMS[norm]), generator=0)
        assert int(model.forwards.max()) <= num_queries
        assert int(model.backwards.sum()) == 0
        assert bool(Goal(Y, False).reached(MODEL(x_adv)).all())
        size.append(NORMS[norm].size(x_adv - X))
    assert bool((size[1] <= size[0]).all())
    assert bool((size[2] <= size[1]).all())
    assert float((size[2] / size[0]).mean()) < 0.5
    model = Counted(MODEL, len(X))
    hop_skip_jump(num_queries=300, goal=predicted)(model, X, Y, Threat(norm=NORMS[norm]))
    assert 200 < int(model.forwards.max()) <= 300


@norms
def test_a_finite_budget_is_a_limit_and_no_end_of_the_search(norm: str) -> None:
    attack = hop_skip_jump(num_queries=1000)
    free = attack(MODEL, X, Y, Threat(norm=NORMS[norm]), generator=0)
    size = NORMS[norm].size(free - X)
    epsilon = torch.where(torch.arange(6) < 3, 2 * size, 0.5 * size)
    model = Counted(MODEL, len(X))
    x_adv = attack(model, X, Y, Threat(epsilon=epsilon, norm=NORMS[norm]), generator=0)
    assert Goal(Y, False).reached(MODEL(x_adv).detach()).tolist() == [True] * 3 + [False] * 3
    assert torch.equal(x_adv[:3], free[:3])
    torch.testing.assert_close(NORMS[norm].size(x_adv - X)[3:], epsilon[3:])


def test_how_many_are_shown_at_once_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    attack, streams = hop_skip_jump(num_queries=500), Streams.of(0, range(6))
    once = attack(MODEL, X, Y, Threat(norm=NORMS["l2"]), generator=streams)
    # The package gives the function of this name; the module is found here.
    monkeypatch.setattr(sys.modules["medrobust.attacks.hop_skip_jump"], "ROWS", 1)
    assert torch.equal(once, attack(MODEL, X, Y, Threat(norm=NORMS["l2"]), generator=streams))


def test_a_target_needs_a_start_of_that_class() -> None:
    target = (int(Y[0]) + 1) % 5
    pool = torch.rand(2000, *SHAPE)
    start = pool[MODEL(pool).argmax(1) == target][:1]
    attack = hop_skip_jump(num_queries=1500, goal=Targeted(target))
    x, y, threat = X[:1], Y[:1], Threat(norm=NORMS["l2"])
    x_adv = attack(MODEL, x, y, threat, start=start)
    assert MODEL(x_adv).argmax(1).tolist() == [target]
    assert float((x_adv - x).norm()) < 0.5 * float((start - x).norm())


def test_without_a_success_the_image_comes_back() -> None:
    model = Counted(lambda x: torch.tensor([[1.0, 0.0]]).expand(len(x), 2), len(X))
    x_adv = hop_skip_jump(num_tries=7)(model, X, torch.zeros_like(Y), Threat(norm=NORMS["l2"]))
    assert torch.equal(x_adv, X)
    assert model.forwards.tolist() == [8] * 6
    # An image that is wrong already costs one question.
    model = Counted(MODEL, len(X))
    assert torch.equal(hop_skip_jump()(model, X, (Y + 1) % 5, Threat(norm=NORMS["l2"])), X)
    assert model.forwards.tolist() == [1] * 6


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="not for l1"):
        hop_skip_jump()(MODEL, X, Y, Threat(norm=NORMS["l1"]))
    with pytest.raises(ValueError, match="1 or more"):
        hop_skip_jump(num_queries=0)
