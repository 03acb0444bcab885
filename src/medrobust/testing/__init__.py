"""Contract tests for attacks and training objectives of your own: what every one of ours passes too.

Example:
    >>> from medrobust.attacks import pgd
    >>> from medrobust.testing import check_attack
    >>> check_attack(pgd(num_steps=3))

    >>> import torch
    >>> from medrobust.objectives import Adversarial
    >>> from medrobust.testing.objectives import smooth_toy
    >>> from medrobust.testing import check_objective
    >>> from medrobust.threat import Threat
    >>> check_objective(Adversarial(Threat(epsilon=0.1)), *smooth_toy(torch.float32))
"""

from __future__ import annotations

from .attacks import ATTACK_CHECKS, check_attack
from .models import HEADS, LinearModel, TinyModel, images_of
from .objectives import check_objective
from .setting import AttackCase

__all__ = [
    "ATTACK_CHECKS",
    "HEADS",
    "AttackCase",
    "LinearModel",
    "TinyModel",
    "check_attack",
    "check_objective",
    "images_of",
]
