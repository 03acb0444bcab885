"""What is left after saving: a longer step in a direction that is already known, at no cost to the attack."""

from __future__ import annotations

import torch
from torch import Tensor

from measuring.toys import of_bits
from medrobust.engine.tree import take
from medrobust.goals import Goal
from medrobust.measuring.as_saved import extend_saved
from medrobust.measuring.outcome import Grid, Outcome
from medrobust.measuring.subjects import Subjects
from medrobust.measuring.verify import stored, verify
from medrobust.streams import Streams

EPSILONS = (0.001, 0.003, 0.01, 0.05)
BOUNDARY = (127.05, 127.05, 128.4, 138.0)  # grey levels at which the answer to each image changes


def model(x: Tensor) -> Tensor:
    """Class 1 above a boundary of its own, which the second pixel says in twentieths of a grey level."""
    z = 255 * x[:, 0, 0, 0].double() - (126 + 12.75 * x[:, 0, 0, 1].double())
    return torch.stack([-z, z], 1).float()


def begun(points: list[float | None], bits: int = 8) -> tuple[Outcome, Subjects, Tensor]:
    """Images at 127 grey levels whose search ended at these grey levels, at the first budget that allows them."""
    n = len(points)
    x = torch.zeros(n, 1, 1, 2)
    x[:, 0, 0, 0] = 127 / 255
    x[:, 0, 0, 1] = ((torch.tensor(BOUNDARY[:n], dtype=torch.float64) - 126) / 12.75).float()
    logits, y = model(x), torch.zeros(n, dtype=torch.long)
    subjects = Subjects(x, y, Goal(y, False), logits, of_bits([bits] * n), Streams.of(0, range(n)))
    grid = Grid("linf", EPSILONS)
    outcome, found = Outcome.nothing(logits, grid), x.clone()
    for i, level in enumerate(points):
        if level is None:
            continue
        found[i, 0, 0, 0] = level / 255
        first = next(j for j, e in enumerate(EPSILONS) if e >= (level - 127) / 255)
        ball = take(subjects, torch.tensor([i])).ball(grid, EPSILONS[first])
        verdict = verify(model, found[i : i + 1], ball, Goal(y[i : i + 1], False), subjects.units[i : i + 1])
        outcome.set(torch.tensor([i]), slice(first, None), verdict)
    return outcome, subjects, found


def test_a_longer_step_survives_where_the_smallest_does_not() -> None:
    outcome, subjects, found = begun([127.1, 127.1])
    assert outcome.reached.tolist() == [[True] * 4] * 2
    assert not bool(outcome.survives.any()), "a tenth of a grey level is rounded away"
    extend_saved(outcome, subjects, found, model, 8)
    # 0.003 is 0.77 grey levels: it is saved as one.
    assert outcome.survives.tolist() == [[False, True, True, True]] * 2


def test_what_was_never_reached_never_survives() -> None:
    outcome, subjects, found = begun([127.1, None, None])
    extend_saved(outcome, subjects, found, model, 2)
    assert outcome.survives.any(1).tolist() == [True, False, False]
    assert torch.equal(outcome.reached.any(1), torch.tensor([True, False, False]))


def test_it_is_true_and_costs_the_attack_nothing() -> None:
    outcome, subjects, found = begun([127.1, 127.06, 128.45])
    assert outcome.reached[2].tolist() == [False, False, True, True]
    before = outcome.forwards.clone(), outcome.prediction.clone(), outcome.distance.clone()
    extend_saved(outcome, subjects, found, model, 1)
    assert outcome.survives[2].tolist() == [False, False, False, True], "the smallest budget keeps its own point"
    assert torch.equal(outcome.forwards, before[0])
    assert torch.equal(outcome.prediction, before[1])
    assert torch.equal(outcome.distance, before[2])
    for i, row in enumerate(outcome.survives.tolist()):
        for epsilon, survives in zip(EPSILONS, row, strict=True):
            step = min(epsilon, 1.0)
            x = subjects.x[i : i + 1].clone()
            x[:, 0, 0, 0] += step
            changed = bool(model(stored(x, subjects.units[i : i + 1], (0.0, 1.0))).argmax(1) == 1)
            if survives:
                assert changed, (i, epsilon)


def test_deep_files_keep_the_smallest_change() -> None:
    outcome, subjects, found = begun([127.1, 127.1], bits=16)
    extend_saved(outcome, subjects, found, model, 8)
    assert bool(outcome.survives.all())
