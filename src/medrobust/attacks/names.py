"""The names of attacks as people write them, from the registry."""

from __future__ import annotations

import inspect

from .registry import ATTACKS

# Spellings of the literature that capitals do not give.
SPELLED = {
    "ifgsm": "I-FGSM",
    "cw_linf": "CW (linf)",
    "cw_linf_min": "CW (linf, smallest)",
    "cw_l2": "CW (l2)",
    "deepfool": "DeepFool",
    "lbfgs": "L-BFGS",
    "apgd_ce": "APGD-CE",
    "apgd_larger_first": "APGD from larger balls",
    "square": "Square",
    "smallest": "Smallest change",
    "smallest_t": "Smallest change by class",
    "autoattack": "AutoAttack",
    "hop_skip_jump": "HopSkipJump",
    "one_step_target": "One-step target",
    "uniform_noise": "Uniform noise",
    "gaussian_noise": "Gaussian noise",
    "rician_noise": "Rician noise",
    "worst_corruption": "Worst corruption",
}


def attack_name(kind: str, title: str = "") -> str:
    """What people call an attack of ATTACKS; a title of its own says which one of several it is.

    Example:
        >>> attack_name("pgd"), attack_name("deepfool"), attack_name("mi_fgsm"), attack_name("pgd", "pgd_20")
        ('PGD', 'DeepFool', 'MI-FGSM', 'PGD (pgd_20)')
    """
    if kind not in ATTACKS:
        return title or kind
    name = SPELLED.get(kind) or kind.replace("_", "-").upper()
    return name if title in ("", kind) else f"{name} ({title})"


def attack_words(kind: str) -> str:
    """The first sentence of an attack's documentation; "" for one that is not in ATTACKS.

    Example:
        >>> attack_words("fgsm")
        'Fast gradient sign method: one step as long as epsilon (Goodfellow et al. 2015, arXiv:1412.6572).'
    """
    text = inspect.getdoc(ATTACKS[kind]) if kind in ATTACKS else ""
    return " ".join((text or "").partition("\n\n")[0].split())
