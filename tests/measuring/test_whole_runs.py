"""Every "not broken" of a sweep rests on a whole run of the attack: hard landscapes, against the attack run plainly."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from measuring.toys import of_bits
from medrobust.attacks import pgd
from medrobust.goals import Goal
from medrobust.measuring.outcome import Grid
from medrobust.measuring.search_model import SearchModel
from medrobust.measuring.subjects import Subjects
from medrobust.measuring.sweep import Effort, sweep
from medrobust.streams import Streams
from medrobust.threat import Threat

EPSILONS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08)
HEADS: dict[str, Callable[[Tensor], Tensor]] = {
    "bends": torch.relu,
    "rises late": lambda h: torch.relu(h) ** 3,
    "saturates": lambda h: torch.tanh(3 * h),
    "waves": lambda h: torch.sin(3 * h),
}


def network(kind: str) -> Callable[[Tensor], Tensor]:
    g = torch.Generator().manual_seed(5)
    # In double precision: where tanh is flat, the rounding of single precision decides which way a step goes.
    first, bias, last = (torch.randn(*size, generator=g).double() for size in ((64, 40), (40,), (40, 2)))
    first = first * 0.75
    act = HEADS[kind]

    def logits(x: Tensor) -> Tensor:
        out = act((x.flatten(1) - 0.5) @ first + bias) @ last
        return torch.tanh(4 * out) if kind == "saturates" else out

    return logits


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize(("num_steps", "relative"), [(20, None), (40, 0.05)])
def test_a_sweep_is_as_strong_as_its_attack(kind: str, num_steps: int, relative: float | None) -> None:
    model, attack = network(kind), pgd(num_steps=num_steps, relative_step_size=relative)
    x = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    logits = model(x)
    y = logits.argmax(1)
    shown = Subjects(x, y, Goal(y, False), logits, of_bits([8] * 64), Streams.of(0, range(64)))
    outcome = sweep(attack, shown, Grid("linf", EPSILONS), SearchModel(model, model), Effort())
    plain = torch.zeros(64, len(EPSILONS), dtype=torch.bool)
    for j, epsilon in enumerate(EPSILONS):
        for point in attack.trajectory(model, x, y, Threat(epsilon), generator=shown.streams.child(j))[1]:
            plain[:, j] |= point.score.reached
    # Where the plain attack fails at one budget and wins at a smaller one, both are its own answers.
    last_failed = torch.where(outcome.reached, -1, torch.arange(len(EPSILONS))).amax(1)
    failed = last_failed >= 0
    assert not bool(plain[failed, last_failed[failed]].any())
    assert bool((outcome.reached.sum(0) >= plain.cummax(1).values.sum(0) - 1).all())
