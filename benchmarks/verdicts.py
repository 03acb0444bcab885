"""Verdicts of the fast search against those of a float32 search: per image and budget, which must be equal.

    python benchmarks/verdicts.py [--model M --data D --epsilons E --attacks pgd,apgd] [key=value ...]

Both searches are judged in float32 by the classifier itself, so neither can claim what does not hold; the question is
whether one of them misses what the other finds. No peers needed. Exit code 1 where the shares of broken images differ
by more than --tolerance points at a budget.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import Job, finish, job, parser

from medrobust.attacks.build import build_attack
from medrobust.engine.keep import first_reached
from medrobust.measuring import measure
from medrobust.measuring.outcome import Grid
from medrobust.measuring.search_model import make_search_model

BUDGETS = "[0.01/255,0.03/255,0.1/255,0.3/255,1/255,2/255,4/255,8/255,16/255]"


def verdicts(job: Job, name: str, precision: str) -> np.ndarray:
    """(images, budgets) broken or not."""
    attack = build_attack(name)
    if hasattr(attack, "keep"):
        attack = replace(attack, keep=first_reached)  # type: ignore[type-var]
    grid = Grid("linf", tuple(job.epsilons))
    plan = replace(job.setup.plan, attacks={name: attack}, grids=(grid,), precision=precision)
    with tempfile.TemporaryDirectory() as folder:
        records, _ = measure(job.setup.model, job.setup.images, plan, Path(folder) / "parts")
    reached: np.ndarray = records.matrix(name, "linf", "reached")[1]
    return reached


def main() -> int:
    takes = parser(__doc__ or "", epsilons=BUDGETS, limit=0, attacks="pgd,apgd", tolerance=0.5)
    options = takes.parse_args()
    task = job(options)
    rows, worst = [], 0.0
    for name in options.attacks.split(","):
        fast, exact = (verdicts(task, name, precision) for precision in ("fast", "float32"))
        for k, epsilon in enumerate(task.epsilons):
            only_fast, only_exact = int((fast & ~exact)[:, k].sum()), int((exact & ~fast)[:, k].sum())
            gap = 100 * abs(only_fast - only_exact) / len(fast)
            worst = max(worst, gap)
            broken = [100 * float(found[:, k].mean()) for found in (fast, exact)]
            rows.append([name, f"{epsilon * 255:.4g}/255", *broken, only_fast, only_exact])
    header = ["attack", "epsilon", "broken, fast %", "broken, float32 %", "by fast alone", "by float32 alone"]
    kind = make_search_model(task.setup.model, task.setup.images, task.setup.plan)[0].kind
    different = sum(row[4] + row[5] for row in rows)
    finish(task, "verdicts", header, rows, search_model=kind, verdicts=len(task.x) * len(rows), different=different)
    print(f"{different} of {len(task.x) * len(rows)} verdicts differ; search model: {kind}")
    return int(worst > options.tolerance)


if __name__ == "__main__":
    sys.exit(main())
