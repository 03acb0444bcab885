"""(c) The worst case of AutoAttack: medrobust against the original and torchattacks.

    python benchmarks/worst_case.py --model M --data D [--epsilons "[1/255,4/255]"] [key=value ...]

The original is pyautoattack, its authors' code on the package registry, in its standard version with as many target
classes as there are (with 2 classes apgd-ce, fab and square: its targeted parts need 4 or more); torchattacks has a
port of it. `--sets standard` puts a named set in the place of the autoattack preset. Every side attacks the images that
the model has right at each budget; robust accuracy is the share still right after all parts, checked in float32 and
inside the ball. The peers run each budget on its own; medrobust is `measure` over all of them, timed as a whole.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from common import Job, finish, interleaved, job, measured, parser
from torch import Tensor

from medrobust.attacks.autoattack import autoattack
from medrobust.attacks.build import build_attack
from medrobust.attacks.sets import choose
from medrobust.norms import NORMS

Ensemble = Callable[[Job, Tensor, Tensor, float, str], Tensor]
ORIGINAL_NORMS = {"linf": "Linf", "l2": "L2", "l1": "L1"}


@dataclass(frozen=True)
class Found:
    """Robust accuracy in percent at each budget; forwards and backwards of all images and budgets."""

    robust: list[float]
    forwards: int
    backwards: int


def original(job: Job, x: Tensor, y: Tensor, epsilon: float, norm: str) -> Tensor:
    """pyautoattack, standard; with 2 classes those of its parts that can be run, once each as in standard."""
    from pyautoattack import AutoAttack

    classes = job.clean.shape[1]
    own: dict[str, Any] = {} if classes > 3 else {"version": "custom", "attacks": ["apgd-ce", "fab", "square"]}
    ensemble = AutoAttack(job.model, norm=ORIGINAL_NORMS[norm], eps=epsilon, seed=0, device=x.device, **own)
    ensemble.apgd.n_restarts = ensemble.fab.n_restarts = 1
    ensemble.apgd_targeted.n_target_classes = ensemble.fab.n_target_classes = min(9, classes - 1)
    return ensemble.run_standard_evaluation(x, y, batch_size=len(x))[0]


def torchattacks_(job: Job, x: Tensor, y: Tensor, epsilon: float, norm: str) -> Tensor:
    """The port in torchattacks, standard."""
    from torchattacks import AutoAttack

    return AutoAttack(job.model, norm=ORIGINAL_NORMS[norm], eps=epsilon, n_classes=job.clean.shape[1], seed=0)(x, y)


def ours(job: Job, norm: str, precision: str, attacks: str) -> Found:
    """The autoattack preset, or a named set, through `measure`: all budgets in one search, as a user gets it."""
    if attacks == "autoattack":
        return Found(*measured(job, {attacks: autoattack(job.clean.shape[1], NORMS[norm])}, norm, precision))
    chosen = choose({attacks: {}}, [norm]).attacks
    built = {title: build_attack(title, given) for title, given in chosen.items()}
    return Found(*measured(job, built, norm, precision))


def run(job: Job, ensemble: Ensemble, norm: str) -> Found:
    """Every budget on its own."""
    job.model.counts()
    robust = []
    for epsilon in job.epsilons:
        x_adv = job.batched(lambda x, y, e=epsilon: ensemble(job, x.clone(), y, e, norm).detach())
        inside = (NORMS[norm].size(x_adv.double() - job.x.double()) <= epsilon * (1 + 1e-5) + 1e-7).cpu()
        assert bool(inside.all()), "a point left the ball"
        robust.append(100 * float((~job.wrong(x_adv) & job.right).float().mean()))
    return Found(robust, *job.model.counts())


def right_only(job: Job) -> Job:
    """The images that the model has right: the peers leave the others alone, medrobust looks for their flips."""
    kept = job.right.nonzero()[:, 0]
    setup = replace(job.setup, images=job.setup.images.subset(kept.tolist()))
    return replace(job, setup=setup, x=job.x[kept], y=job.y[kept], clean=job.clean[kept])


def main() -> int:
    options = parser(__doc__ or "", norm="linf", without="", precisions="fast,float32", sets="autoattack").parse_args()
    warnings.simplefilter("ignore")
    task = right_only(job(options, options.norm))
    if task.clean.shape[1] == 3:
        print("the original's targeted DLR ends in an error with 3 classes", file=sys.stderr)
        return 2
    ensembles: dict[str, Ensemble] = {"original": original, "torchattacks": torchattacks_}
    kept = {name: side for name, side in ensembles.items() if name not in options.without.split(",")}
    sides: dict[str, Callable[[], Found]] = {
        f"medrobust {attacks} {precision}": partial(ours, task, options.norm, precision, attacks)
        for attacks in options.sets.split(",")
        for precision in options.precisions.split(",")
    }
    sides |= {name: partial(run, task, side, options.norm) for name, side in kept.items()}
    runs = interleaved(sides, task.repeats)
    mine, n = next(iter(runs.values())).median, len(task.x)
    rows = [
        [name, one.median, one.median / mine, found.backwards / n, found.forwards / n, *found.robust]
        for name, one in runs.items()
        if (found := one.result) is not None
    ]
    unit = 255 if options.norm == "linf" else 1
    budgets = [f"{e * unit:.4g}{'/255' if unit == 255 else ''}" for e in task.epsilons]
    header = ["library", "seconds", "ratio", "gradients/image", "forwards/image", *budgets]
    finish(task, f"worst_case_{options.norm}", header, rows, seconds={k: v.seconds for k, v in runs.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
