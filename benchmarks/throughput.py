"""(d) Gradients a second of the engine at full lanes, against the bare forward and backward of the same network.

    python benchmarks/throughput.py [--model M --weights W --data D] [key=value ...]

Both sides take the gradient of the same loss by the same images with the same (search or plain) copy of the model. The
budget is so small that no search ends early: every lane takes all its steps, then the queue refills it.
"""

from __future__ import annotations

import sys
import warnings
from collections import deque
from collections.abc import Callable
from functools import partial

import torch
from common import Job, finish, interleaved, job, parser
from torch import nn

from medrobust.attacks import mi_fgsm, pgd
from medrobust.engine.lanes import Done, Lanes, open_lanes, run_lanes
from medrobust.engine.program import Program
from medrobust.engine.tree import take
from medrobust.goals import Goal
from medrobust.losses import cross_entropy
from medrobust.models.replayed import replayed
from medrobust.models.search_copy import search_copy
from medrobust.threat import Threat

NUM_STEPS, TINY = 19, 1e-7  # 20 gradients per job
PROGRAMS: dict[str, Callable[..., Program]] = {"pgd": partial(pgd, random_start=False), "mi_fgsm": mi_fgsm}


def bare(job: Job, model: nn.Module, num_jobs: int) -> int:
    """Forward and backward, nothing else. Returns the number of gradients."""
    n = job.batch_size
    x, goal = job.x[:n], Goal(job.clean[:n].argmax(1), False)
    total = num_jobs * (NUM_STEPS + 1)
    for _ in range(total):
        leaf = x.detach().requires_grad_()
        torch.autograd.grad(cross_entropy(model(leaf), goal).sum(), leaf)
    return total * n


def engine(job: Job, model: nn.Module, program: Program, num_jobs: int) -> int:
    """The same number of gradients through the lanes, num_jobs jobs a lane."""
    n = job.batch_size
    ball = Threat(epsilon=TINY).around(job.x[:n])
    goal = Goal(job.clean[:n].argmax(1), False)
    queue, gradients = deque(list(range(n)) * num_jobs), 0

    def refill(count: int) -> Lanes | None:
        if not queue:
            return None
        item = torch.tensor([queue.popleft() for _ in range(min(count, len(queue)))], device=job.x.device)
        part = take(ball, item)
        return open_lanes(program, item, torch.zeros_like(item), take(goal, item), part, part.center)

    def finished(done: Done) -> None:
        nonlocal gradients
        gradients += int(done.age.sum())

    run_lanes(program, model, n, refill, finished, patience=None)
    return gradients


def main() -> int:
    options = parser(__doc__ or "", jobs=2, repeats=5).parse_args()
    warnings.simplefilter("ignore")
    task = job(options)
    sides: dict[str, Callable[[], int]] = {}
    kinds: dict[str, tuple[nn.Module, str]] = {"plain": (task.model.model, "float32, as given")}
    kinds |= {precision: search_copy(task.model.model, task.x[:16], precision) for precision in ("float32", "fast")}
    fast, words = kinds["fast"]
    if (graphs := replayed(fast, task.x[:16], task.batch_size, 1.0)) is not None:
        kinds["graphs"] = graphs, f"{words}, CUDA graphs"
    for kind, (model, _) in kinds.items():
        sides[f"bare {kind}"] = partial(bare, task, model, options.jobs)
        for name, make in PROGRAMS.items():
            sides[f"{name} {kind}"] = partial(engine, task, model, make(num_steps=NUM_STEPS), options.jobs)
    for model, _ in kinds.values():
        bare(task, model, 1)
    runs = interleaved(sides, task.repeats)
    rate = {name: (run.result or 0) / run.median for name, run in runs.items()}
    rows = [
        [name, kinds[name.split()[1]][1], rate[name], 100 * (1 - rate[name] / rate[f"bare {name.split()[1]}"])]
        for name in runs
    ]
    header = ["what", "model", "gradients/s", "overhead %"]
    finish(task, "throughput", header, rows, seconds={name: run.seconds for name, run in runs.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
