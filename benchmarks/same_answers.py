"""The same attacks through torchattacks, Foolbox, ART and medrobust: robust accuracy per budget, which must agree.

    python benchmarks/same_answers.py [--model M --weights W --data D --epsilons E] [key=value ...]

Same model, images, budgets, number of steps and step size; every library's last point counts. FGSM, BIM and MI-FGSM
are deterministic. PGD starts at random: every library is handed the same random numbers, --starts times, and the mean
counts. With --own-starts each draws its own, and the gap shrinks as starts and images grow. Foolbox's MI-FGSM is
shown and not judged: it adds up raw gradients, where the paper and the others divide each by its l1 norm. Exit code 1
where another library and medrobust differ by more than --tolerance points.
"""

from __future__ import annotations

import sys
import warnings
from contextlib import nullcontext

import torch
from common import Job, finish, job, parser
from peers import LINF, same_noise
from torch import Tensor

from medrobust.attacks import bim, fgsm, mi_fgsm, pgd
from medrobust.threat import Threat

LIBRARIES = ("torchattacks", "foolbox", "art")
# attack: number of steps, and the step as a share of epsilon.
STEPS = {"fgsm": (1, 1.0), "bim": (10, 0.25), "mi_fgsm": (10, 0.25), "pgd": (20, 0.125)}
OTHER_RULE = {("mi_fgsm", "foolbox")}
OURS = {"fgsm": lambda **_: fgsm(), "bim": bim, "mi_fgsm": mi_fgsm, "pgd": pgd}


def robust_accuracy(job: Job, library: str, attack: str, epsilon: float, starts: int) -> float:
    """Percent of all images still right at the last point, the mean over the random starts where there are any."""
    num_steps, share = STEPS[attack]
    size = share * epsilon
    random = attack == "pgd"
    right = []
    for seed in range(starts if random else 1):
        torch.manual_seed(seed)
        numbers = torch.Generator().manual_seed(seed)

        def noise(x: Tensor, numbers: torch.Generator = numbers) -> Tensor | None:
            if not random or job.arguments.own_starts:
                return None
            return (torch.rand(x.shape, generator=numbers).to(x) * 2 - 1) * epsilon

        def ours(x: Tensor, y: Tensor, seed: int = seed) -> Tensor:
            made = OURS[attack](num_steps=num_steps, step_size=size)
            drawn = noise(x)
            start = None if drawn is None else (x + drawn).clamp(0, 1)
            return made(job.model, x, y, Threat(epsilon=epsilon), generator=seed, start=start)

        def theirs(x: Tensor, y: Tensor) -> Tensor:
            drawn = noise(x)
            with nullcontext() if drawn is None else same_noise(drawn):
                return LINF[library][attack](job.model, x.clone(), y, epsilon, num_steps, size)

        x_adv = job.batched(ours if library == "medrobust" else theirs)
        assert float((x_adv - job.x).abs().amax()) <= epsilon + 1e-6, f"{library} {attack} left the ball"
        right.append(float((~job.wrong(x_adv)).float().mean()))
    return 100 * sum(right) / len(right)


def main() -> int:
    takes = parser(__doc__ or "", limit=0, starts=3, tolerance=0.5, attacks=",".join(STEPS))
    takes.add_argument("--own-starts", action="store_true", help="each library draws its own random starts")
    options = takes.parse_args()
    warnings.simplefilter("ignore")
    task = job(options)
    rows, worst = [], 0.0
    for attack in options.attacks.split(","):
        for epsilon in task.epsilons:
            found = {
                name: robust_accuracy(task, name, attack, epsilon, options.starts) for name in ("medrobust", *LIBRARIES)
            }
            gap = max(abs(found[name] - found["medrobust"]) for name in LIBRARIES if (attack, name) not in OTHER_RULE)
            worst = max(worst, gap)
            rows.append(
                [attack, f"{epsilon * 255:.4g}/255", *(round(value, 3) for value in found.values()), round(gap, 3)]
            )
            print(*rows[-1], file=sys.stderr, flush=True)
    header = ["attack", "epsilon", "medrobust", *LIBRARIES, "largest gap"]
    finish(task, "same_answers", header, rows, worst_gap=worst, starts_of_pgd=options.starts)
    print(f"largest gap: {worst:.3f} points (allowed {options.tolerance})")
    return int(worst > options.tolerance)


if __name__ == "__main__":
    sys.exit(main())
