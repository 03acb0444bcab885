"""Lanes that are looked at every third gradient, as on a graphics card, end with the same rows."""

from __future__ import annotations

import pytest
import torch

from measuring.toys import of_bits
from medrobust.attacks import apgd, mi_fgsm, pgd
from medrobust.attacks.base import Attack
from medrobust.attacks.honest import honest
from medrobust.engine import lanes
from medrobust.goals import Goal
from medrobust.measuring.outcome import Grid, Outcome
from medrobust.measuring.search_model import SearchModel
from medrobust.measuring.subjects import Subjects
from medrobust.measuring.sweep import Effort, sweep
from medrobust.streams import Streams

GRID = Grid("linf", (0.005, 0.01, 0.02, 0.04, 0.08))


def outcome(attack: Attack) -> Outcome:
    g = torch.Generator().manual_seed(5)
    first, last = torch.randn(64, 40, generator=g).double(), torch.randn(40, 3, generator=g).double()

    def model(x: torch.Tensor) -> torch.Tensor:
        return torch.relu((x.flatten(1) - 0.5) @ first) @ last

    x = torch.rand(40, 1, 8, 8, generator=g).double()
    logits = model(x)
    y = logits.argmax(1)
    shown = Subjects(x, y, Goal(y, False), logits, of_bits([8] * 40), Streams.of(0, range(40)))
    return sweep(honest(attack).abilities.program, shown, GRID, SearchModel(model, model), Effort(num_lanes=8))


@pytest.mark.parametrize(
    "attack", [pgd(num_steps=20), mi_fgsm(num_steps=7), apgd(num_steps=11)], ids=["pgd", "mi_fgsm", "apgd"]
)
def test_fewer_looks_change_nothing(attack: Attack, monkeypatch: pytest.MonkeyPatch) -> None:
    often = outcome(attack)
    monkeypatch.setattr(lanes, "LOOK", {"cpu": 3})
    seldom = outcome(attack)
    assert 0 < int(often.reached.sum()) < often.reached.numel()
    for name in ("reached", "forwards", "backwards", "prediction", "survives"):
        assert torch.equal(getattr(often, name), getattr(seldom, name)), name
    torch.testing.assert_close(often.distance, seldom.distance)
