"""Every entry of ATTACKS through the checks that third parties run on theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from medrobust.attacks import ATTACKS, bim, pgd, restarts, smallest_epsilon, worst_case
from medrobust.testing import ATTACK_CHECKS, HEADS, AttackCase

RANDOM: dict[str, Any] = {"randomized": True}
MINIMAL: dict[str, Any] = {"minimal": True}
# What an attack claims, and parameters that make it quick; one that is not here claims the defaults of AttackCase.
CLAIMS: dict[str, dict[str, Any]] = {
    "pgd": RANDOM,
    "cw_linf": RANDOM,
    "apgd": RANDOM,
    "apgd_ce": RANDOM,
    "apgd_dlr": RANDOM,
    "apgd_t": RANDOM,
    "autoattack": RANDOM,
    "square": {"randomized": True, "needs": "scores"},
    "ddn": MINIMAL,
    "fmn": MINIMAL,
    "cw_l2": {**MINIMAL, "norms": ("l2",)},
    "cw_linf_min": {**MINIMAL, "norms": ("linf",)},
    "deepfool": {**MINIMAL, "norms": ("linf", "l2")},
    "lbfgs": {**MINIMAL, "norms": ("l2",)},
    "smallest": {**MINIMAL, "norms": ("linf", "l2")},
    # It aims at one class, and a multi-label head has none.
    "one_step_target": {"heads": tuple(head for head in HEADS if head != "multi_label")},
    "hop_skip_jump": {"randomized": True, "needs": "decisions", "minimal": True, "norms": ("linf", "l2")},
    "uniform_noise": {"randomized": True, "needs": "decisions"},
    "gaussian_noise": {"randomized": True, "needs": "decisions"},
    "rician_noise": {"randomized": True, "needs": "decisions"},
}
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
}
COMBINED: dict[str, AttackCase] = {
    "restarts": AttackCase(attack=restarts(pgd(num_steps=5), 2), **RANDOM),
    "worst_case": AttackCase(attack=worst_case([pgd(num_steps=3), bim(num_steps=3)]), **RANDOM),
    "smallest_epsilon": AttackCase(attack=smallest_epsilon(bim(num_steps=10)), norms=("linf", "l2"), **MINIMAL),
}
CASES: dict[str, AttackCase] = {
    name: AttackCase(attack=build(**QUICK.get(name, {})), **CLAIMS.get(name, {})) for name, build in ATTACKS.items()
}


def test_every_attack_is_here() -> None:
    assert len(CASES) == len(ATTACKS) > 0
    assert set(CLAIMS) | set(QUICK) <= set(ATTACKS), "a claim about an attack that does not exist"
    assert len(ATTACK_CHECKS) > 10


@pytest.mark.parametrize("check", ATTACK_CHECKS.values(), ids=ATTACK_CHECKS)
@pytest.mark.parametrize("name", [*CASES, *COMBINED])
def test_attack(name: str, check: Callable[[AttackCase], None]) -> None:
    check({**CASES, **COMBINED}[name])
