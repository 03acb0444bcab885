"""(a) The accuracy-vs-epsilon curve of PGD-20 over a grid of budgets: medrobust against every peer, in one run.

    python benchmarks/curve.py [--model M --weights W --data D --epsilons E] [key=value ...]

Every peer runs each budget on its own, which is what it offers; `careful` is the first of them in a loop that a careful
user would write (budgets ascending, images wrong from the start or broken before left out). medrobust is `measure`,
timed as a whole: reading the images, the clean pass, the search, the float32 checks, writing the records. The
budgets of Rodriguez et al. 2022 are --epsilons grid29. --libraries leaves out peers that are known to be slower,
--careful 0 leaves out that loop.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from common import Job, finish, interleaved, job, measured, parser
from peers import LINF
from torch import Tensor

from medrobust.attacks import pgd
from medrobust.engine.keep import first_reached

TENTHS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
GRIDS = {
    "grid10": [0.1, 0.2, 0.3, 0.5, 1, 2, 3, 5, 8, 10],
    # The 29 budgets of Rodriguez et al. 2022 (doi:10.1186/s12911-022-01891-w).
    "grid29": [0, *(t / 10 for t in TENTHS), *TENTHS, *range(1, 11)],
}
NUM_STEPS, SHARE = 20, 0.125


@dataclass(frozen=True)
class Curve:
    """Robust accuracy at each budget, and the forwards and backwards of the attacks over all images."""

    robust: list[float]
    forwards: int
    backwards: int


def _percent(standing: Tensor) -> float:
    return 100 * float(standing.float().mean())


def theirs(job: Job, library: str) -> Curve:
    """Each budget on its own, every image."""
    torch.manual_seed(0)
    job.model.counts()
    attack, robust = LINF[library]["pgd"], []
    for epsilon in job.epsilons:
        x_adv = job.batched(lambda x, y, e=epsilon: attack(job.model, x, y, e, NUM_STEPS, SHARE * e) if e else x)
        robust.append(_percent(~job.wrong(x_adv) & job.right))
    return Curve(robust, *job.model.counts())


def careful(job: Job, library: str) -> Curve:
    """The same peer, ascending, on the images still standing."""
    torch.manual_seed(0)
    job.model.counts()
    attack, robust, standing = LINF[library]["pgd"], [], job.right.clone()
    for epsilon in job.epsilons:
        index = standing.nonzero()[:, 0]
        if epsilon and len(index):
            x_adv = job.batched(lambda x, y, e=epsilon: attack(job.model, x, y, e, NUM_STEPS, SHARE * e), index)
            standing[index] = ~job.wrong(x_adv, index)
        robust.append(_percent(standing))
    return Curve(robust, *job.model.counts())


def ours(job: Job, precision: str) -> Curve:
    """medrobust.measuring.measure with the honest protocol."""
    attack = pgd(num_steps=NUM_STEPS, relative_step_size=SHARE, keep=first_reached)
    return Curve(*measured(job, {"pgd": attack}, "linf", precision))


def main() -> int:
    options = parser(__doc__ or "", epsilons="grid10", libraries=",".join(LINF), careful=1).parse_args()
    libraries = options.libraries.split(",")
    if options.epsilons in GRIDS:
        options.epsilons = ",".join(f"{value:g}/255" for value in GRIDS[options.epsilons])
    warnings.simplefilter("ignore")
    task = job(options)
    sides: dict[str, Callable[[], Curve]] = {f"medrobust {p}": (lambda p=p: ours(task, p)) for p in ("fast", "float32")}
    sides |= {name: (lambda name=name: theirs(task, name)) for name in libraries}
    by_hand = libraries[0]
    if options.careful:
        sides[f"{by_hand}, careful"] = lambda: careful(task, by_hand)
    for name in libraries:  # imports and first calls are not part of the comparison
        LINF[name]["pgd"](task.model, task.x[:2].clone(), task.y[:2], 1 / 255, 1, 1 / 255)
    runs = interleaved(sides, task.repeats)
    found = {name: run.result for name, run in runs.items() if run.result is not None}
    mine = runs["medrobust fast"].median
    n = len(task.x)
    rows = [
        [name, run.median, run.median / mine, found[name].backwards / n, found[name].forwards / n, *found[name].robust]
        for name, run in runs.items()
    ]
    header = ["library", "seconds", "ratio", "gradients/image", "forwards/image"]
    header += [f"{e * 255:.4g}/255" for e in task.epsilons]
    seconds = {name: run.seconds for name, run in runs.items()}
    finish(task, f"curve_{len(task.epsilons)}", header, rows, seconds=seconds)
    lowest = [min(found[name].robust[k] for name in libraries) for k in range(len(task.epsilons))]
    above = max(a - b for a, b in zip(found["medrobust fast"].robust, lowest, strict=True))
    quickest = min(libraries, key=lambda name: runs[name].median)
    print(f"{runs[quickest].median / mine:.1f} times the speed of the fastest peer, {quickest}")
    print(f"at most {above:+.2f} points above the lowest peer at any budget (negative: below all of them everywhere)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
