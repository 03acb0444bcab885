"""How much the sets of attacks overstate robustness, against the worst of everything, on trained models.

    python benchmarks/trained_models.py       # the models and their images, once
    python benchmarks/attack_sets.py          # goes on where it stopped

Every attack runs alone, by `medrobust.measure`, on the same right images. An image stands at a budget only where every
attack of a set failed there or was not in it; `everything` is all of them. The table says, for every model and norm,
how many images stand after the set and after everything, at every budget, and the gradients per image of the set.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
import torch
from common import RESULTS, write
from trained_models import RECIPES, load

import medrobust as mr
from medrobust.attacks.build import build_attack
from medrobust.attacks.sets import SETS
from medrobust.numbers import DEFAULT_EPSILONS, parse_budgets

PAPERS = ("fgsm", "bim", "pgd", "cw_linf")  # the default of before
# Strong attacks beside those of the sets; AutoAttack's gradient attacks one by one, for they are swept.
BESIDE: dict[str, dict[str, Any]] = {
    "apgd_ce": {"num_steps": 50},
    "apgd_margin": {"name": "apgd", "loss": "margin", "num_steps": 50},
    "apgd_t": {"num_steps": 50},
    "fab_t": {"num_steps": 50, "num_targets": 3},
    "fmn": {},
}
BUDGETS = {norm: parse_budgets(given, norm, norm) for norm, given in DEFAULT_EPSILONS.items()}  # those of an audit
PARTS = RESULTS.parent.parent / "runs" / "attack_sets"


def wanted(norm: str) -> dict[str, dict[str, Any]]:
    """Title -> parameters of every attack that is run for a norm."""
    found: dict[str, dict[str, Any]] = dict(SETS["standard"][norm])
    found |= {name: {} for name in PAPERS} | BESIDE
    return {title: given for title, given in found.items() if norm in build_attack(title, given).abilities.norms}


def broken_from(name: str, norm: str, limit: int, batch_size: int) -> dict[str, Any]:
    """Per attack: the position of the first budget that breaks each image, and gradients of each."""
    part = PARTS / f"{name}-{norm}-{limit}.json"
    known: dict[str, Any] = json.loads(part.read_text()) if part.exists() else {}
    asked = {f"{title} {json.dumps(given, sort_keys=True)}": (title, given) for title, given in wanted(norm).items()}
    missing = {key: one for key, one in asked.items() if key not in known}
    model, images = load(name, limit) if missing else (None, None)
    for key, (title, given) in missing.items():
        began, attack = perf_counter(), build_attack(title, given)
        budgets: dict[str, Any] = {norm: BUDGETS[norm]}
        records = mr.measure(model, images, {title: attack}, batch_size=batch_size, precision="float32", **budgets)
        reached = records.matrix(title, norm, "reached")[1]
        first = np.where(reached.any(1), reached.argmax(1), reached.shape[1])
        cost = records.matrix(title, norm, "backwards")[1].sum(1)
        forwards = records.matrix(title, norm, "forwards")[1].sum(1)
        known[key] = {"first": first.tolist(), "gradients": float(cost.mean()), "forwards": float(forwards.mean())}
        print(name, norm, title, known[key]["gradients"], f"{perf_counter() - began:.0f} s", flush=True)
        part.write_text(json.dumps(known))
    return {key: known[key] for key in asked}  # an attack with other parameters may have been run before


def row(name: str, norm: str, known: dict[str, Any], title: str, members: Sequence[str]) -> list[Any]:
    """A row of the table: one set of attacks against everything."""
    first = {key.split(" ")[0]: np.array(found["first"]) for key, found in known.items()}
    used = [member for member in members if member in first]
    everything, mine = (np.stack([first[k] for k in keys]).min(0) for keys in (list(first), used))
    num = len(everything)
    stand = [[int((least > j).sum()) for j in range(len(BUDGETS[norm]))] for least in (mine, everything)]
    most = max(a - b for a, b in zip(*stand, strict=True))
    cost = sum(found["gradients"] for key, found in known.items() if key.split(" ")[0] in used)
    return [name, norm, num, title, *(" ".join(map(str, one)) for one in stand), most, round(cost, 1)]


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--only", nargs="*", default=list(RECIPES), choices=list(RECIPES), metavar="NAME")
    options.add_argument("--norms", nargs="*", default=list(BUDGETS), choices=list(BUDGETS))
    options.add_argument("--limit", type=int, default=64, help="right images of each model")
    options.add_argument("--batch-size", type=int, default=64)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--name")
    arguments = options.parse_args()
    arguments.device = "cpu"
    torch.set_num_threads(arguments.threads)
    PARTS.mkdir(parents=True, exist_ok=True)
    table = []
    for norm in arguments.norms:
        for name in arguments.only:
            known = broken_from(name, norm, arguments.limit, arguments.batch_size)
            sets = {"papers": PAPERS, "standard": tuple(SETS["standard"][norm])}
            table += [row(name, norm, known, title, members) for title, members in sets.items()]
    header = ["model", "norm", "images", "set", "standing", "after everything", "most above", "gradients per image"]
    setting = {"budgets": BUDGETS, "limit": arguments.limit, "beside": BESIDE}
    write(arguments, "attack_sets", setting, header, table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
