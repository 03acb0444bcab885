"""Every entry of ATTACKS through the checks that third parties run on theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from medrobust.attacks import ATTACKS, apgd_ce, bim, pgd, restarts, smallest_epsilon, worst_case
from medrobust.testing import ATTACK_CHECKS, HEADS, AttackCase
from medrobust.testing.setting import SHAPES

# An attack that aims at one class has no goal for a multi-label head.
HEADS_OF: dict[str, tuple[str, ...]] = {"one_step_target": tuple(head for head in HEADS if head != "multi_label")}
# Corruptions are of what has rows and columns.
SHAPES_OF: dict[str, tuple[str, ...]] = {"worst_corruption": ("image", "volume")}
QUICK: dict[str, dict[str, Any]] = {
    "ddn": {"num_steps": 80},
    "fmn": {"num_steps": 30},
    "apgd": {"num_steps": 10},
    "apgd_ce": {"num_steps": 10},
    "apgd_dlr": {"num_steps": 10},
    "apgd_t": {"num_steps": 10},
    "autoattack": {"num_steps": 5, "num_queries": 10},
    "square": {"num_queries": 30},
    "hop_skip_jump": {"num_queries": 400, "num_directions": 30},
    "worst_corruption": {"only": ("gaussian_noise", "impulse_noise", "darker")},  # what changes images of 4 x 4
}
COMBINED: dict[str, AttackCase] = {
    "restarts": AttackCase(attack=restarts(pgd(num_steps=5), 2)),
    "worst_case": AttackCase(attack=worst_case([pgd(num_steps=3), bim(num_steps=3)])),
    "smallest_epsilon": AttackCase(attack=smallest_epsilon(apgd_ce(num_steps=20))),
    "short bim": AttackCase(attack=bim(num_steps=5, relative_step_size=0.1)),
}
CASES: dict[str, AttackCase] = {
    name: AttackCase(
        attack=build(**QUICK.get(name, {})),
        heads=HEADS_OF.get(name, tuple(HEADS)),
        shapes=SHAPES_OF.get(name, tuple(SHAPES)),
    )
    for name, build in ATTACKS.items()
}


def test_every_attack_is_here() -> None:
    assert len(CASES) == len(ATTACKS) > 0
    assert set(HEADS_OF) | set(SHAPES_OF) | set(QUICK) <= set(ATTACKS), "a parameter of an attack that does not exist"
    assert len(ATTACK_CHECKS) > 15


@pytest.mark.parametrize("check", ATTACK_CHECKS.values(), ids=ATTACK_CHECKS)
@pytest.mark.parametrize("name", [*CASES, *COMBINED])
def test_attack(name: str, check: Callable[[AttackCase], None]) -> None:
    check({**CASES, **COMBINED}[name])
