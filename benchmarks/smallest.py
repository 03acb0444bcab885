"""(b) The smallest epsilon of every image, linf or l2: medrobust against adv-lib (FMN, DDN, APGD) and Foolbox.

    python benchmarks/smallest.py [--norm linf|l2] [--gradients 200] [--model M --weights W --data D] [key=value ...]

Peers get --gradients gradients per image, medrobust half of them.
Only images that the model has right are attacked, by everyone. A distance counts when the point is in the domain and
the model, in float32, answers wrongly; where an attack fails, the largest distance that any attack needed counts.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from common import Job, finish, interleaved, job, parser
from torch import Tensor

from medrobust.attacks import Attack, apgd, ddn, fmn, smallest, smallest_epsilon, smallest_t
from medrobust.engine.keep import first_reached
from medrobust.norms import NORMS
from medrobust.threat import Threat

Minimal = Callable[[Job, Tensor, Tensor, str], Tensor]
ORDER = {"linf": float("inf"), "l2": 2}
# Budgets at which bisection starts, beyond which no image of interest lies.
FARTHEST = {"linf": 32 / 255, "l2": 8.0}


@dataclass(frozen=True)
class Found:
    """distance (m,) of the images that the model has right, inf where the attack failed; cost of all of them."""

    distance: Tensor
    forwards: int
    backwards: int


def _advlib(name: str, **options: object) -> Minimal:
    def attack(job: Job, x: Tensor, y: Tensor, norm: str) -> Tensor:
        import adv_lib.attacks

        more = {} if name == "ddn" else {"norm": ORDER[norm]}
        return getattr(adv_lib.attacks, name)(job.model, x, y, **more, **options)

    return attack


def _advlib_apgd(num_steps: int, num_bisections: int) -> Minimal:
    def attack(job: Job, x: Tensor, y: Tensor, norm: str) -> Tensor:
        from adv_lib.attacks.auto_pgd import minimal_apgd

        loss = "dlr" if job.clean.shape[1] > 2 else "ce"
        limits = {"max_eps": FARTHEST[norm], "binary_search_steps": num_bisections, "n_iter": num_steps}
        return minimal_apgd(job.model, x, y, ORDER[norm], loss_function=loss, **limits)

    return attack


def _foolbox(num_steps: int) -> Minimal:
    def attack(job: Job, x: Tensor, y: Tensor, norm: str) -> Tensor:
        import foolbox

        # Its DDN for l2, because its L2FMNAttack divides a norm by itself and so never projects.
        maker = {"linf": "LInfFMNAttack", "l2": "DDNAttack"}[norm]
        model = foolbox.PyTorchModel(job.model, bounds=(0, 1), device=x.device)
        return getattr(foolbox.attacks, maker)(steps=num_steps).run(model, x, foolbox.criteria.Misclassification(y))

    return attack


def _ours(make: Callable[[], Attack]) -> Minimal:
    def attack(job: Job, x: Tensor, y: Tensor, norm: str) -> Tensor:
        return make()(job.model, x, y, Threat(norm=NORMS[norm]), generator=0)

    return attack


def sides(norm: str, gradients: int) -> dict[str, Minimal]:
    """Everyone's best for this norm: peers at a number of gradients, medrobust at half of it."""
    half = max(gradients // 2, 1)
    out = {f"medrobust smallest {half}": _ours(partial(smallest, num_steps=half))}
    out[f"medrobust smallest_t {half}"] = _ours(partial(smallest_t, num_steps=half))
    out[f"medrobust fmn {half}"] = _ours(partial(fmn, num_steps=half))
    steps = apgd(num_steps=max(half // 10, 1), keep=first_reached)
    out["medrobust bisected apgd"] = _ours(partial(smallest_epsilon, steps, 10))
    if norm == "l2":
        out[f"medrobust ddn {half}"] = _ours(partial(ddn, num_steps=half))
        out[f"adv-lib ddn {gradients}"] = _advlib("ddn", steps=gradients, levels=None)
    out[f"adv-lib fmn {gradients}"] = _advlib("fmn", steps=gradients)
    out["adv-lib bisected apgd"] = _advlib_apgd(max(gradients // 10, 1), 10)
    out[f"foolbox {'fmn' if norm == 'linf' else 'ddn'} {gradients}"] = _foolbox(gradients)
    return out


def run(job: Job, attack: Minimal, norm: str) -> Found:
    """Attack every image that the model has right."""
    torch.manual_seed(0)
    index = job.right.nonzero()[:, 0]
    job.model.counts()
    x_adv = job.batched(lambda x, y: attack(job, x.clone(), y, norm).detach(), index)
    counts = job.model.counts()
    inside = ((x_adv >= 0) & (x_adv <= 1)).flatten(1).all(1)
    distance = NORMS[norm].size(x_adv - job.x[index])
    return Found(torch.where(job.wrong(x_adv, index) & inside, distance, torch.inf), *counts)


def main() -> int:
    options = parser(__doc__ or "", norm="linf", gradients=200, limit=36, repeats=1).parse_args()
    warnings.simplefilter("ignore")
    task = job(options, options.norm)
    attacks = sides(options.norm, options.gradients)
    runs = interleaved(
        {name: partial(run, task, attack, options.norm) for name, attack in attacks.items()}, task.repeats
    )
    found = {name: one.result for name, one in runs.items() if one.result is not None}
    together = torch.stack([one.distance for one in found.values()])
    worst, best = together.where(together.isfinite(), 0).amax(0), together.amin(0)
    n = max(int(task.right.sum()), 1)
    unit = 255 if options.norm == "linf" else 1
    rows = []
    for name, one in found.items():
        distance = torch.minimum(one.distance, worst)
        reached = 100 * float(one.distance.isfinite().float().mean())
        sizes = [unit * float(distance.mean()), unit * float(distance.median()), float((distance / best).mean())]
        rows.append([name, runs[name].median, one.backwards / n, one.forwards / n, reached, *sizes])
    scale = " x 255" if unit == 255 else ""
    header = ["attack", "seconds", "gradients/image", "forwards/image", "% reached"]
    header += [f"mean{scale}", f"median{scale}", "mean ratio to best"]
    finish(task, f"smallest_{options.norm}", header, rows, seconds={name: run.seconds for name, run in runs.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
