"""Contract tests for attacks, objectives, checks and image sets of your own: what every one of ours passes too.

Example:
    >>> from medrobust.attacks import pgd
    >>> from medrobust.testing import check_attack
    >>> check_attack(pgd(num_steps=3))

    >>> from medrobust.objectives import Adversarial
    >>> from medrobust.testing import check_objective
    >>> from medrobust.threat import Threat
    >>> check_objective(Adversarial(Threat(epsilon=0.1)))

    >>> import torch
    >>> from medrobust.data import ImageSet
    >>> from medrobust.testing import check_image_set
    >>> check_image_set(ImageSet.of(torch.rand(6, 1, 8, 8), torch.arange(6) % 2))
"""

from __future__ import annotations

from .attacks import ATTACK_CHECKS, check_attack
from .checks import check_check, small_audit
from .image_set_contract import IMAGE_SET_CHECKS, check_image_set
from .models import HEADS, LinearModel, TinyModel, images_of
from .objectives import check_objective
from .setting import AttackCase

__all__ = [
    "ATTACK_CHECKS",
    "HEADS",
    "IMAGE_SET_CHECKS",
    "AttackCase",
    "LinearModel",
    "TinyModel",
    "check_attack",
    "check_check",
    "check_image_set",
    "check_objective",
    "images_of",
    "small_audit",
]
