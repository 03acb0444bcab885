"""AutoAttack: what runs for which head, what is saved, what each part is for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medrobust.attacks.apgd import LargerBallsFirst
from medrobust.attacks.autoattack import autoattack, parts_of
from medrobust.attacks.fab import Fab
from medrobust.attacks.square import Square
from medrobust.engine.count import Counted
from medrobust.engine.program import Program
from medrobust.goals import Goal
from medrobust.norms import L1, L2, NORMS, Linf
from medrobust.streams import Streams
from medrobust.threat import Threat

QUICK = {"num_steps": 8, "num_queries": 10}
TWO = ("apgd_ce", "apgd_margin", "apgd_probability_margin", "fab", "square")


def scene(num_classes: int, num_images: int = 5) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """A smooth classifier that rounds the same in any batch, in float64, and images."""
    generator = torch.Generator().manual_seed(1)
    first = torch.randn(16, 6, generator=generator, dtype=torch.float64) / 2
    second = torch.randn(6, num_classes, generator=generator, dtype=torch.float64)
    x = torch.rand(num_images, 1, 4, 4, generator=generator, dtype=torch.float64)

    def model(x: Tensor) -> Tensor:
        hidden = torch.tanh((x.flatten(1)[:, :, None] * first).sum(1))
        return (hidden[:, :, None] * second).sum(1)

    return model, x


@pytest.mark.parametrize(
    ("num_classes", "names"),
    [
        (2, TWO),
        (3, ("apgd_ce", "apgd_dlr", "apgd_margin_t", "fab_t", "square")),
        (4, ("apgd_ce", "apgd_t", "fab_t", "square")),
        (100, ("apgd_ce", "apgd_t", "fab_t", "square")),
    ],
)
def test_the_names_tell_what_runs(num_classes: int, names: tuple[str, ...]) -> None:
    assert autoattack(num_classes=num_classes).names == names


def test_the_standard_is_the_published_one() -> None:
    ce, targeted, fab_t, square = parts_of("standard", 10, Linf())
    assert [len(part.attacks) for part in (ce, targeted, fab_t, square)] == [1, 9, 9, 1]
    assert [attack.goal.rank for attack in targeted.attacks] == list(range(1, 10))
    assert [attack.goal.rank for attack in fab_t.attacks] == list(range(1, 10))
    assert all(isinstance(attack, Program) and attack.num_steps == 100 for attack in ce.attacks + targeted.attacks)
    assert all(isinstance(attack, Fab) and attack.num_steps == 100 for attack in fab_t.attacks)
    (last,) = square.attacks
    assert isinstance(last, Square)
    assert (last.num_queries, last.share, last.rescale_schedule) == (5000, 0.8, False)
    # l1: 5 restarts and 5 targets, from larger balls.
    ce, targeted, fab_t, _ = parts_of("standard", 10, L1())
    assert [len(part.attacks) for part in (ce, targeted, fab_t)] == [5, 5, 5]
    assert all(isinstance(attack, LargerBallsFirst) for attack in ce.attacks + targeted.attacks)


def test_plus_adds_restarts_and_the_untargeted_attacks() -> None:
    parts = parts_of("plus", 10, L2())
    assert [(part.name, len(part.attacks)) for part in parts] == [
        ("apgd_ce", 5),
        ("apgd_dlr", 5),
        ("fab", 1),
        ("square", 1),
        ("apgd_t", 9),
        ("fab_t", 9),
    ]
    assert parts[2].attacks[0].num_restarts == 5
    assert [part.name for part in parts_of("plus", 2, L2())] == list(TWO)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("num_classes", [1, 2, 3, 4, 6])
def test_any_number_of_classes_runs_to_the_end(num_classes: int, norm: str) -> None:
    """One image is out of reach of the budget, so every part runs; 1 is a head of one logit."""
    model, x = scene(num_classes)
    y = model(x).argmax(1) if num_classes > 1 else (model(x)[:, 0] > 0).long()
    wide = {"linf": 0.5, "l2": 2.0, "l1": 6.0}[norm]
    threat = Threat(epsilon=torch.tensor([1e-6] + [wide] * 4, dtype=torch.float64), norm=NORMS[norm])
    x_adv = autoattack(**QUICK)(model, x, y, threat)
    assert bool(threat.around(x).contains(x_adv, 1e-6).all())
    assert Goal(y, False).reached(model(x_adv)).tolist() == [False] + [True] * 4


def test_independent_labels_run_to_the_end() -> None:
    model, x = scene(3)
    y = (model(x) > 0).double()
    threat = Threat(epsilon=torch.tensor([1e-6] + [0.5] * 4, dtype=torch.float64))
    attack = autoattack(**QUICK)
    assert attack.fitted(model(x), y, threat.norm).names == TWO
    x_adv = attack(model, x, y, threat)
    assert Goal(y, False).reached(model(x_adv)).tolist() == [False] + [True] * 4


def test_work_is_saved() -> None:
    model, x = scene(5)
    y = model(x).argmax(1)
    y[4] = (y[4] + 1) % 5
    epsilon = torch.tensor([1e-6, 0.5, 0.5, 0.5, 0.5], dtype=torch.float64)
    counted = Counted(model, 5)
    x_adv = autoattack(**QUICK)(counted, x, y, Threat(epsilon=epsilon))
    assert torch.equal(x_adv[4], x[4])
    assert counted.forwards[4] == 1
    # Fallen to the first part: never more than the clean forward and its steps.
    assert bool((counted.forwards[1:4] <= 1 + QUICK["num_steps"]).all())
    assert bool((counted.backwards[1:4] <= QUICK["num_steps"]).all())
    # APGD: 5 runs of 8 steps and a last look. FAB: 4 targets. Square: the image and 10 queries.
    fab = Counted(model, 5)
    part = parts_of("standard", 5, Linf(), **QUICK)[2]
    for attack in part.attacks:
        attack(fab, x, y, Threat(epsilon=epsilon))
    checks = len(part.attacks) + 1
    assert counted.forwards[0] == 1 + 5 * 9 + fab.forwards[0] + 11 + checks
    assert counted.backwards[0] == 5 * 8 + fab.backwards[0]


def test_square_breaks_what_has_no_gradient() -> None:
    _, x = scene(2)
    x, y = x * 0 + 0.5, torch.zeros(5, dtype=torch.long)
    half = torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64)

    def masked(x: Tensor) -> Tensor:
        z = ((x.detach() - 0.5) * half).flatten(1).sum(1) - 0.8
        return torch.stack([0 * x.flatten(1).sum(1), z], 1)

    # 0.8 / 16 = 0.05 is enough, and a random corner of the ball is far from it.
    threat, attack = Threat(epsilon=0.06), autoattack(num_steps=8, num_queries=300)
    assert bool((masked(attack(masked, x, y, threat)).argmax(1) == 1).all())
    assert not bool((masked(autoattack(num_steps=8, num_queries=1)(masked, x, y, threat)).argmax(1) == 1).any())


def test_the_result_does_not_depend_on_the_batch() -> None:
    model, x = scene(4)
    y, streams = model(x).argmax(1), Streams.of(0, range(5))
    threat = Threat(epsilon=0.08)
    together = autoattack(**QUICK)(model, x, y, threat, generator=streams)
    for images in ([2], [4, 0], [3, 1]):
        index = torch.tensor(images)
        part = autoattack(**QUICK)(model, x[index], y[index], threat, generator=streams[index])
        torch.testing.assert_close(part, together[index], rtol=0, atol=1e-9)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="did you mean 'standard'"):
        autoattack(version="standart")
    with pytest.raises(ValueError, match="2 classes or more"):
        autoattack(num_classes=1)
    with pytest.raises(ValueError, match="number of classes"):
        _ = autoattack().names
    model, x = scene(4)
    with pytest.raises(ValueError, match="made for classes 3, but got 4"):
        autoattack(num_classes=3)(model, x, model(x).argmax(1), Threat(epsilon=0.1))
    with pytest.raises(ValueError, match="made for norm"):
        autoattack(norm=L2())(model, x, model(x).argmax(1), Threat(epsilon=0.1))
