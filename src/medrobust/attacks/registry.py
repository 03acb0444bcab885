"""Attacks by their names in the literature. Adding one is a file and a line in ATTACKS."""

from __future__ import annotations

from collections.abc import Callable

from .apgd import apgd, apgd_ce, apgd_dlr, apgd_larger_first, apgd_t
from .autoattack import autoattack
from .base import Attack
from .carlini_wagner import cw_l2
from .carlini_wagner_linf import cw_linf_min
from .deepfool import deepfool
from .fab import fab, fab_t
from .hop_skip_jump import hop_skip_jump
from .lbfgs import lbfgs, one_step_target
from .minimal import ddn, fmn
from .noise import gaussian_noise, rician_noise, uniform_noise
from .pgd import bim, cw_linf, fgsm, mi_fgsm, pgd
from .smallest import smallest
from .smallest_t import smallest_t
from .square import square
from .translation_invariant import ti_fgsm
from .worst_corruption import worst_corruption

ATTACKS: dict[str, Callable[..., Attack]] = {
    "fgsm": fgsm,
    "bim": bim,
    "ifgsm": bim,
    "pgd": pgd,
    "cw_linf": cw_linf,
    "mi_fgsm": mi_fgsm,
    "ti_fgsm": ti_fgsm,
    "ddn": ddn,
    "fmn": fmn,
    "smallest": smallest,
    "smallest_t": smallest_t,
    "cw_l2": cw_l2,
    "cw_linf_min": cw_linf_min,
    "deepfool": deepfool,
    "fab": fab,
    "fab_t": fab_t,
    "lbfgs": lbfgs,
    "one_step_target": one_step_target,
    "apgd_ce": apgd_ce,
    "apgd_dlr": apgd_dlr,
    "apgd_t": apgd_t,
    "apgd": apgd,
    "apgd_larger_first": apgd_larger_first,
    "square": square,
    "autoattack": autoattack,
    "hop_skip_jump": hop_skip_jump,
    "uniform_noise": uniform_noise,
    "gaussian_noise": gaussian_noise,
    "rician_noise": rician_noise,
    "worst_corruption": worst_corruption,
}
