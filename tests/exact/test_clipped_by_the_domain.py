"""Where the domain takes away a part of the step: linear models with black pixels, against the closed form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from exact.clipped import OFF, WEIGHT, X, nearest, one_logit, softmax_of, two_logits
from medrobust.attacks import (
    Attack,
    cw_l2,
    cw_linf_min,
    deepfool,
    fab,
    fab_t,
    fmn,
    lbfgs,
    one_step_target,
    smallest,
    smallest_t,
)
from medrobust.attacks.parts.hyperplanes import shortest
from medrobust.goals import as_classes
from medrobust.norms import NORMS
from medrobust.threat import Threat

Y = torch.tensor([0])
HEADS = {"one logit": one_logit, "two logits": two_logits, "three logits": softmax_of}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("num_steps", [3, 10, 50, 200])
@pytest.mark.parametrize(("norm", "right"), [("linf", 1.3 / 13), ("l2", 1.3 / 13**0.5)])
def test_deepfool_crosses_where_three_of_sixteen_pixels_cannot_move(
    norm: str, right: float, num_steps: int, head: str
) -> None:
    """19 % of the gain is clipped; 13 free pixels of slope 1 must rise 1.3 together."""
    model = HEADS[head]
    x_adv = deepfool(num_steps=num_steps)(model, X, Y, Threat(norm=norm))
    assert as_classes(model(x_adv)).argmax(1).tolist() == [1]
    size = float(NORMS[norm].size(x_adv - X))
    assert right * (1 - 1e-5) <= size <= 1.021 * right


def random_problem(share: float, norm: str, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """24 images of 36 pixels, a share of them black or white, one hyperplane; the exact distances (24,)."""
    g = torch.Generator().manual_seed(seed)
    weight, x = torch.randn(36, generator=g), torch.rand(24, 1, 6, 6, generator=g)
    edge = torch.rand(x.shape, generator=g) < share
    x = torch.where(edge, (torch.rand(x.shape, generator=g) < 0.5).float(), x)
    bias = -(x.flatten(1) @ weight) - 0.8
    return x, weight, bias, nearest(norm, weight, x, 0.8)


MINIMAL: dict[str, tuple[Attack, float]] = {
    "deepfool": (deepfool(), 1.03),
    "fab": (fab(num_steps=20), 1.03),
    "fab_t": (fab_t(num_steps=20), 1.03),
    "fmn": (fmn(num_steps=200), 1.05),
    "smallest": (smallest(), 1.02),
    "smallest_t": (smallest_t(), 1.02),
    "cw_l2": (cw_l2(num_steps=400), 1.05),
    "cw_linf_min": (cw_linf_min(num_steps=500), 1.05),
    "lbfgs": (lbfgs(), 1.05),
}


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("name", MINIMAL)
def test_the_smallest_change_is_found_at_the_edge_of_the_domain(name: str, norm: str, share: float) -> None:
    attack, slack = MINIMAL[name]
    if norm not in attack.abilities.norms:
        return
    x, weight, bias, right = random_problem(share, norm, 3)

    for one in range(0, len(x), 6):
        own = lambda z, one=one: (z.flatten(1) @ weight + bias[one])[:, None]  # noqa: E731
        x_adv = attack(own, x[one : one + 1], Y, Threat(norm=norm), generator=0)
        assert bool(own(x_adv) > 0), "not crossed"
        size = float(NORMS[norm].size(x_adv - x[one : one + 1]))
        assert right[one] * (1 - 1e-4) <= size <= slack * right[one], f"{size} where {float(right[one])} is enough"


def test_one_step_to_a_class_moves_what_can_move() -> None:
    """Just above the closed form it wins, just below it does not."""
    attack, right = one_step_target(), 1.3 / 13
    for factor, won in ((1.01, 1), (0.99, 0)):
        x_adv = attack(two_logits, X, Y, Threat(factor * right))
        assert two_logits(x_adv).argmax(1).tolist() == [won]


def test_the_closed_form_is_that_of_the_projection() -> None:
    """Two derivations of the distance: sorting by hand, and the projection that the attacks use."""
    for norm in NORMS:
        x, weight, _, right = random_problem(0.5, norm, 5)
        slope = weight.expand(len(x), -1)
        flat = x.flatten(1)
        d = shortest(NORMS[norm], slope, torch.full((len(x),), 0.8), -flat, 1 - flat)
        assert torch.allclose(NORMS[norm].size(d), right, rtol=1e-4)
    assert float(X.flatten() @ WEIGHT + OFF) == pytest.approx(-1.3, abs=1e-5)
