"""Which runs of which libraries the golden files hold, and the same attacks in our words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import peers

LINF, L2, L1 = 6 / 255, 0.2, 1.5
L2_INSIDE, L1_INSIDE = 0.06, 0.25  # images of the net "inside" keep so far from black and white
STEP = LINF / 4
PER_SAMPLE = [k * LINF / 4 for k in range(1, 9)]
INF = float("inf")


@dataclass(frozen=True)
class Case:
    """A peer's run and the same attack in our words. checks: see test_golden.py; why: what keeps it from equality."""

    library: str
    call: str
    run: peers.Run
    attack: str
    options: dict[str, Any] = field(default_factory=dict)
    net: str = "five"
    norm: str = "linf"
    epsilon: float | list[float] | None = LINF
    checks: dict[str, float] = field(default_factory=lambda: {"x_adv": 0.0})
    why: str = ""


def _signed(name: str, attack: str, num_steps: int, least_likely: bool = False, **more: Any) -> Case:
    """An attack of torchattacks that steps along the sign of the gradient."""
    parameters = {"eps": LINF} | ({"alpha": STEP, "steps": num_steps} if num_steps > 1 else {})
    options = {"num_steps": num_steps, "step_size": STEP} if num_steps > 1 else {}
    if least_likely:
        options["goal"] = "least_likely"
    if name == "BIM":
        more |= {"checks": {"x_adv": 1e-6}, "why": "the peer clips x to center +- eps, we clip x - center"}
    call = f"{name}({', '.join(parameters)}){', least likely' if least_likely else ''}"
    run = peers.torchattacks_run(name, parameters, least_likely)
    return Case("torchattacks", call, run, attack, options, **more)


def _ten_steps(library: str, call: str, run: peers.Run, attack: str = "bim", **more: Any) -> Case:
    """Ten signed steps of a library that orders its roundings in another way."""
    options = {"num_steps": 10, "step_size": STEP}
    why = "the peer keeps the perturbation or clips in another order"
    return Case(library, call, run, attack, options, checks={"x_adv": 1e-6}, why=why, **more)


def _apgd(loss: str, norm: str, epsilon: float, num_steps: int = 20, **more: Any) -> Case:
    losses = {"ce": {"loss": "cross_entropy"}, "dlr": {"loss": "dlr"}, "dlr-targeted": {}}
    ours = {"num_steps": num_steps, "keep": "highest"} | losses[loss]
    # Long runs wander on a plateau of equal loss, where roundings choose the point: only the losses are compared then.
    long = num_steps > 20 or loss == "dlr-targeted" or more.get("net") == "inside"
    return Case(
        "pyautoattack",
        f"APGDAttack(n_iter={num_steps}, norm={norm!r}, eps, loss={loss!r}).attack_single_run(x, y)",
        peers.apgd_run(loss, norm, epsilon, num_steps),
        "apgd_t" if loss == "dlr-targeted" else "apgd",
        ours,
        norm=norm.lower(),
        epsilon=epsilon,
        **{
            "checks": {"value": 3e-5} if long else {"x_adv": 1e-5, "value": 1e-5},
            "why": "roundings add up over the steps" + (", and on a plateau choose the point" if long else ""),
            **more,
        },
    )


# Where the domain binds, in l2 and l1, ours steps along pixels that can move and projects on ball and domain in one.
EDGE: dict[str, Any] = {"checks": {"at_least": 0.02}, "why": "the peer steps into black and white, and clips"}


def _smallest(call: str, run: peers.Run, attack: str, norm: str, factor: float, why: str, **options: Any) -> Case:
    """A minimal-norm attack: the distances reached are compared."""
    library, call = call.split(": ")
    return Case(library, call, run, attack, options, norm=norm, epsilon=None, checks={"distance": factor}, why=why)


def _fallen(call: str, run: peers.Run, attack: str, norm: str, epsilon: float, num_queries: int) -> Case:
    """A random search: who falls is compared; fewer queries than the peer makes, to be quick."""
    why, ours = "random searches: only who falls is compared", {"num_queries": num_queries}
    return Case("pyautoattack", call, run, attack, ours, norm=norm, epsilon=epsilon, checks={"reached": 1.0}, why=why)


SAME = "the same rule; only roundings differ"
FAB = "the projections on a hyperplane and a box are solved in different ways"
CASES: dict[str, Case] = {
    "fgsm": _signed("FGSM", "fgsm", 1),
    "fgsm_two_classes": _signed("FGSM", "fgsm", 1, net="two"),
    "fgsm_least_likely": _signed("FGSM", "fgsm", 1, least_likely=True),
    "bim": _signed("BIM", "bim", 10),
    "bim_two_classes": _signed("BIM", "bim", 10, net="two"),
    "bim_least_likely": _signed("BIM", "bim", 10, least_likely=True),
    "bim_foolbox": _ten_steps("foolbox", "LinfBasicIterativeAttack(abs_stepsize)", peers.foolbox_bim(LINF, STEP)),
    "bim_art": _ten_steps(
        "adversarial-robustness-toolbox", "ProjectedGradientDescentPyTorch(eps, eps_step)", peers.art_bim(LINF, STEP)
    ),
    "bim_cleverhans": _ten_steps(
        "cleverhans", "projected_gradient_descent(rand_init=False)", peers.cleverhans_bim(LINF, STEP)
    ),
    "pgd_linf": _signed("PGD", "pgd", 20),
    "pgd_linf_two_classes": _signed("PGD", "pgd", 20, net="two"),
    "pgd_l2": Case(
        "torchattacks",
        "PGDL2(eps, alpha, steps)",
        peers.torchattacks_run("PGDL2", {"eps": L2, "alpha": L2 / 4, "steps": 10}, False),
        "pgd",
        {"num_steps": 10, "step_size": L2 / 4},
        norm="l2",
        epsilon=L2,
        **EDGE,
    ),
    "pgd_l2_inside": Case(
        "torchattacks",
        "PGDL2(eps, alpha, steps)",
        peers.torchattacks_run("PGDL2", {"eps": L2_INSIDE, "alpha": L2_INSIDE / 4, "steps": 10}, False),
        "pgd",
        {"num_steps": 10, "step_size": L2_INSIDE / 4},
        net="inside",
        norm="l2",
        epsilon=L2_INSIDE,
        checks={"x_adv": 1e-6},
        why="the peer adds 1e-10 to the norm of the gradient and multiplies in another order",
    ),
    "mi_fgsm": _signed("MIFGSM", "mi_fgsm", 10),
    "mi_fgsm_two_classes": _signed("MIFGSM", "mi_fgsm", 10, net="two"),
    "ti_fgsm": Case(
        "torchattacks",
        "TIFGSM(eps, alpha, steps, decay=1.0, diversity_prob=0.0)",
        peers.torchattacks_run(
            "TIFGSM", {"eps": LINF, "alpha": STEP, "steps": 10, "decay": 1.0, "diversity_prob": 0.0}, False
        ),
        "ti_fgsm",
        {"num_steps": 10, "step_size": STEP},
        checks={"x_adv": 1e-6},
        why="the peer convolves with one square kernel, we along one axis after the other",
    ),
    "cw_linf": _ten_steps(
        "adv-lib", "pgd_linf(loss_function='dl'), its last question", peers.advlib_pgd([LINF], STEP, "dl"), "cw_linf"
    ),
    "per_sample_epsilon": _ten_steps(
        "adv-lib",
        "pgd_linf(eps tensor, loss_function='ce'), its last question",
        peers.advlib_pgd(PER_SAMPLE, STEP, "ce"),
        "pgd",
        epsilon=PER_SAMPLE,
    ),
    "apgd_ce_linf": _apgd("ce", "Linf", LINF),
    "apgd_ce_linf_two_classes": _apgd("ce", "Linf", LINF, net="two"),
    "apgd_ce_l2": _apgd("ce", "L2", L2, **EDGE),
    "apgd_ce_l2_inside": _apgd("ce", "L2", L2_INSIDE, net="inside"),
    "apgd_ce_l1": _apgd("ce", "L1", L1, num_steps=6, **EDGE),
    "apgd_ce_l1_inside": _apgd("ce", "L1", L1_INSIDE, num_steps=6, net="inside"),
    "apgd_dlr_linf": _apgd("dlr", "Linf", LINF),
    "apgd_dlr_l2": _apgd("dlr", "L2", L2, **EDGE),
    "apgd_dlr_l2_inside": _apgd("dlr", "L2", L2_INSIDE, net="inside"),
    "apgd_dlr_l1": _apgd("dlr", "L1", L1, num_steps=6, **EDGE),
    "apgd_dlr_l1_inside": _apgd("dlr", "L1", L1_INSIDE, num_steps=6, net="inside"),
    "apgd_targeted_dlr_linf": _apgd("dlr-targeted", "Linf", LINF),
    "apgd_ce_linf_long": _apgd("ce", "Linf", LINF, num_steps=100),
    "apgd_dlr_linf_long": _apgd("dlr", "Linf", LINF, num_steps=100),
    "apgd_ce_l2_long": _apgd("ce", "L2", L2, num_steps=100, **EDGE),
    "apgd_ce_l2_long_inside": _apgd("ce", "L2", L2_INSIDE, num_steps=100, net="inside"),
    "ddn": _smallest(
        "adv-lib: ddn(steps=100, levels=None)",
        peers.advlib_smallest("ddn", steps=100, levels=None),
        *("ddn", "l2", 1.002, SAME),
        num_steps=100,
    ),
    "fmn_linf": _smallest(
        "adv-lib: fmn(norm=inf, steps=100)",
        peers.advlib_smallest("fmn", norm=INF, steps=100),
        *("fmn", "linf", 1.002, SAME),
        num_steps=100,
    ),
    "fmn_l2": _smallest(
        "foolbox: L2FMNAttack(steps=100)",
        peers.foolbox_smallest("L2FMNAttack", steps=100),
        *("fmn", "l2", 1.002, "the peer does not project in l2 (it divides a norm by itself)"),
        num_steps=100,
    ),
    "fmn_l1": _smallest(
        "adv-lib: fmn(norm=1, steps=100)",
        peers.advlib_smallest("fmn", norm=1, steps=100),
        *("fmn", "l1", 1.002, SAME),
        num_steps=100,
    ),
    "cw_l2": _smallest(
        "adv-lib: carlini_wagner_l2(max_iterations=200, abort_early=False)",
        peers.advlib_smallest("carlini_wagner_l2", max_iterations=200, abort_early=False),
        *("cw_l2", "l2", 1.01, "the peer and we search on the constant in our own ways"),
    ),
    "deepfool_l2": _smallest(
        "adv-lib: df(norm=2, steps=50)",
        peers.advlib_smallest("df", norm=2, steps=50),
        *("deepfool", "l2", 1.01, "the peer adds 1e-4 to every distance"),
    ),
    "deepfool_linf": _smallest(
        "adv-lib: df(norm=inf, steps=50)",
        peers.advlib_smallest("df", norm=INF, steps=50),
        *("deepfool", "linf", 1.01, "the peer adds 1e-4 to every distance"),
    ),
    **{
        f"fab_{norm.lower()}": _smallest(
            f"pyautoattack: FABAttack_PT(norm={norm!r}, n_iter=50).attack_single_run(x, y)",
            peers.fab_run(norm, 0),
            *("fab", norm.lower(), 1.01, FAB),
        )
        for norm in ("Linf", "L2", "L1")
    },
    "fab_t_linf": _smallest(
        "pyautoattack: FABAttack_PT(norm='Linf', n_iter=50, targeted=True), the nearest of the 4 targets",
        peers.fab_run("Linf", 4),
        *("fab_t", "linf", 1.01, FAB),
    ),
    "hop_skip_jump": _smallest(
        "foolbox: HopSkipJumpAttack(steps=20)",
        peers.foolbox_smallest("HopSkipJumpAttack", steps=20),
        *("hop_skip_jump", "l2", 1.25, "both estimate directions from random points"),
    ),
    "square_linf": _fallen(
        "SquareAttack(n_queries=2000)", peers.square_run("Linf", LINF), "square", "linf", LINF, 1000
    ),
    "square_l2": _fallen("SquareAttack(n_queries=2000)", peers.square_run("L2", 0.3), "square", "l2", 0.3, 1000),
    "autoattack_linf": _fallen(
        "AutoAttack('standard'), 4 target classes", peers.autoattack_run("Linf", LINF), "autoattack", "linf", LINF, 200
    ),
    "autoattack_l2": _fallen(
        "AutoAttack('standard'), 4 target classes", peers.autoattack_run("L2", 0.15), "autoattack", "l2", 0.15, 200
    ),
}
