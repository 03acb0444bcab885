"""Attacks by their names in the literature. Adding one is a file and a line in ATTACKS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .base import Attack
from .combine import restarts, smallest_epsilon, worst_case
from .minimal import ddn, fmn, linear_estimate
from .noise import gaussian_noise, rician_noise, uniform_noise
from .pgd import bim, cw_linf, fgsm, mi_fgsm, pgd
from .transfer import transfer

ATTACKS: dict[str, Callable[..., Any]] = {
    "fgsm": fgsm,
    "bim": bim,
    "ifgsm": bim,
    "pgd": pgd,
    "cw_linf": cw_linf,
    "mi_fgsm": mi_fgsm,
    "ddn": ddn,
    "fmn": fmn,
    "uniform_noise": uniform_noise,
    "gaussian_noise": gaussian_noise,
    "rician_noise": rician_noise,
}

__all__ = [
    "ATTACKS",
    "Attack",
    "bim",
    "cw_linf",
    "ddn",
    "fgsm",
    "fmn",
    "gaussian_noise",
    "linear_estimate",
    "mi_fgsm",
    "pgd",
    "restarts",
    "rician_noise",
    "smallest_epsilon",
    "transfer",
    "uniform_noise",
    "worst_case",
]
