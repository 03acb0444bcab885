"""Attacks by their names in the literature, and the combinators that make attacks of attacks."""

from ..engine.abilities import Abilities
from .apgd import apgd, apgd_ce, apgd_dlr, apgd_larger_first, apgd_t
from .autoattack import autoattack
from .base import Attack
from .build import build_attack
from .carlini_wagner import cw_l2
from .carlini_wagner_linf import cw_linf_min
from .combine import restarts, smallest_epsilon, worst_case
from .deepfool import deepfool
from .fab import fab, fab_t
from .honest import honest
from .hop_skip_jump import hop_skip_jump
from .lbfgs import lbfgs, one_step_target
from .minimal import ddn, fmn, linear_estimate
from .noise import gaussian_noise, rician_noise, uniform_noise
from .pgd import bim, cw_linf, fgsm, mi_fgsm, pgd
from .registry import ATTACKS
from .smallest import smallest
from .smallest_t import smallest_t
from .square import square
from .transfer import transfer
from .translation_invariant import ti_fgsm
from .worst_corruption import worst_corruption

__all__ = [
    "ATTACKS",
    "Abilities",
    "Attack",
    "apgd",
    "apgd_ce",
    "apgd_dlr",
    "apgd_larger_first",
    "apgd_t",
    "autoattack",
    "bim",
    "build_attack",
    "cw_l2",
    "cw_linf",
    "cw_linf_min",
    "ddn",
    "deepfool",
    "fab",
    "fab_t",
    "fgsm",
    "fmn",
    "gaussian_noise",
    "honest",
    "hop_skip_jump",
    "lbfgs",
    "linear_estimate",
    "mi_fgsm",
    "one_step_target",
    "pgd",
    "restarts",
    "rician_noise",
    "smallest",
    "smallest_epsilon",
    "smallest_t",
    "square",
    "ti_fgsm",
    "transfer",
    "uniform_noise",
    "worst_case",
    "worst_corruption",
]
