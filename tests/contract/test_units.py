"""The unit of a pixel decides nothing: [0, 1], [0, 255] and [-1024, 1024] give every attack the same successes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from medrobust.attacks import ATTACKS
from medrobust.goals import as_classes
from medrobust.norms import NORMS
from medrobust.streams import Streams
from medrobust.threat import Threat

DOMAINS = {"255 grey levels": (0.0, 255.0), "Hounsfield units": (-1024.0, 1024.0)}
BUDGETS = {"linf": 0.03, "l2": 0.15, "l1": 0.6}  # of bounded attacks, in units of the width
FEW: dict[str, dict[str, Any]] = {
    "square": {"num_queries": 60},
    "hop_skip_jump": {"num_queries": 600},
    "cw_l2": {"num_steps": 60, "num_searches": 4},
    "cw_linf_min": {"num_steps": 200},
    "lbfgs": {"num_steps": 25, "num_searches": 4},
    "autoattack": {"num_steps": 8, "num_queries": 30},
    "fab": {"num_steps": 15},
    "fab_t": {"num_steps": 15},
}
GENERATOR = torch.Generator().manual_seed(1)
HIDDEN, BIAS, OUT = (torch.randn(*size, generator=GENERATOR).double() for size in ((36, 16), (16,), (16, 3)))
UNIT = torch.rand(6, 1, 6, 6, generator=GENERATOR).double()
UNIT[:, :, :2], UNIT[1] = 0, 0.5  # a black frame, and a flat image


def network(num_outputs: int, domain: tuple[float, float]) -> Callable[[Tensor], Tensor]:
    """A bent network of pixels between 0 and 1, behind the way from the domain to there; double precision."""
    low, high = domain

    def logits(x: Tensor) -> Tensor:
        out = torch.tanh(((x - low) / (high - low) - 0.3).flatten(1) @ HIDDEN * 0.5 + BIAS) @ OUT
        return out[:, 1:2] - out[:, :1] if num_outputs == 1 else out

    return logits


def run(name: str, norm: str, num_outputs: int, domain: tuple[float, float]) -> tuple[Tensor, Tensor, Tensor]:
    """Which were won, at what distance, and the images, both in units of the width."""
    low, width = domain[0], domain[1] - domain[0]
    attack, model, x = ATTACKS[name](**FEW.get(name, {})), network(num_outputs, domain), low + width * UNIT
    y = as_classes(model(x)).argmax(1)
    threat = Threat(norm=norm, domain=domain)
    if attack.abilities.kind == "bounded":
        threat = replace(threat, epsilon=torch.full((len(x),), BUDGETS[norm] * width, dtype=torch.float64))
    x_adv = attack(model, x, y, threat, generator=Streams.of(0, range(len(x))))
    won = as_classes(model(x_adv)).argmax(1) != y
    return won, NORMS[norm].size(x_adv - x) / width, (x_adv - low) / width


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("name", ATTACKS)
def test_the_unit_of_a_pixel_decides_nothing(name: str, domain: str) -> None:
    norms = [norm for norm in ATTACKS[name]().abilities.norms if norm in NORMS]
    if not norms:
        pytest.skip("a family of faults has severities, which have no unit of a pixel")
    for norm in norms:
        for num_outputs in (1, 3):
            won, size, x_adv = run(name, norm, num_outputs, (0.0, 1.0))
            again = run(name, norm, num_outputs, DOMAINS[domain])
            what = f"{norm}, {num_outputs} outputs"
            assert torch.equal(won, again[0]), f"{what}: other successes"
            assert torch.allclose(size[won], again[1][won], rtol=1e-3, atol=1e-9), f"{what}: other distances"
            if name != "hop_skip_jump":  # decisions at the boundary follow the last bit of a pixel
                assert torch.allclose(x_adv, again[2], atol=1e-4), f"{what}: other images"
