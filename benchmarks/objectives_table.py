"""(f) Every training objective on real images: clean and worst-case accuracy at its training budget, over seeds.

    python benchmarks/objectives_table.py [--sets busi,ham10000] [--objectives trades,mart] [--seeds 3] [--epochs 8]

Needs MEDROBUST_DATA. Each cell is a training run and a measurement in --out/SET/OBJECTIVE-SEED; cells that are done are
not run again, one that was stopped goes on. The worst case of an image is over PGD and AutoAttack with untargeted
goals, searched in float32 on the test split, which training never sees; accuracies are balanced (the mean over
classes), since a model that always gives one answer is not robust. Collapsed: one class is the answer to every image.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import warnings
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import write

from medrobust.attacks import autoattack, pgd
from medrobust.data import View, open_images
from medrobust.files import read_json, write_json
from medrobust.measuring import Plan, measure
from medrobust.measuring.outcome import Grid
from medrobust.models import load_model
from medrobust.numbers import parse_number
from medrobust.objectives import OBJECTIVES
from medrobust.recipes.yaml import train_recipe
from medrobust.records.records import Records
from medrobust.training import train

SETS: dict[str, dict[str, Any]] = {
    "busi": {"folder": "Dataset_BUSI_with_GT", "classes": ["benign", "malignant"], "color": "grey", "limit": 480},
    "ham10000": {"folder": "ham10000", "classes": ["mel", "bkl", "nv"], "color": "rgb", "limit": 480},
}
TITLES = {"busi": "BUSI", "ham10000": "HAM10000"}
# Every name of OBJECTIVES as it is but SimCLR, which sees no labels; SAT; and, beside semi_rst, which has half of the
# images without labels, what the other half gives alone.
CELLS: dict[str, dict[str, Any]] = {
    **{name: {"name": name} for name in OBJECTIVES if name != "simclr"},
    "sat": {"name": "adversarial", "clean_weight": 0.5},
    "rst_half": {"name": "semi_rst", "unlabeled_weight": 0},
}
HALF = ("semi_rst", "rst_half")
ATTACKS = {
    "mirst": {"name": "pgd", "num_steps": 10, "relative_step_size": 0.1, "random_start": False},
}
DEFAULT_ATTACK = {"name": "pgd", "num_steps": 7, "relative_step_size": 0.25}


def recipe(options: argparse.Namespace, data: str, name: str, seed: int) -> dict[str, Any]:
    """What one cell trains. A batch that is replayed counts as so many epochs."""
    known = SETS[data]
    replays = 4 if name == "free" else 1
    return {
        "model": options.network,
        "data": {
            "name": f"{data}:{options.root}/{known['folder']}",
            "image_size": options.size,
            "color": known["color"],
            "fit": "pad",
            "classes": known["classes"],
            "limit": options.limit or known["limit"],
            "balance": data == "ham10000",
            "hide_labels": 0.5 if name in HALF else 0.0,
        },
        "objective": CELLS[name],
        "threat": {"epsilon": options.epsilon},
        "attack": ATTACKS.get(name, DEFAULT_ATTACK),
        "optimizer": {"name": "adam", "lr": options.lr},
        "schedule": {"name": "one_cycle"},
        "validation": {"limit": 64},
        "epochs": max(options.epochs // replays, 1),
        "batch_size": options.batch_size,
        "balance": True,
        "seed": seed,
        "precision": "fast",
        "device": options.device,
    }


def cell(options: argparse.Namespace, data: str, name: str, seed: int) -> dict[str, Any]:
    """Train and measure, or read what an earlier call left."""
    folder = Path(options.out) / data / f"{name}-{seed}"
    content = recipe(options, data, name, seed)
    train(train_recipe(content), folder / "model")
    done = folder / "cell.json"
    if done.exists():
        return dict(read_json(done))
    shown = content["data"]
    images = open_images(
        shown["name"],
        view=View(options.size, shown["color"], "pad"),
        split="all",
        limit=shown["limit"],
        classes=shown["classes"],
        balance=shown["balance"],
    ).with_split("test")
    model = load_model(str(folder / "model"), classes=images.classes)
    epsilon = parse_number(options.epsilon, "--epsilon")
    plan = Plan(
        attacks={
            "pgd": pgd(num_steps=20, relative_step_size=0.125),
            "autoattack": autoattack(num_steps=options.attack_steps, num_queries=options.attack_queries),
        },
        grids=(Grid("linf", (epsilon,)),),
        batch_size=64,
        device=options.device,
        precision="float32",
    )
    records, cost = measure(model, images, plan, folder / "parts")
    found = {**accuracies(records), "attack_seconds": cost["seconds"]}
    found["train_seconds"] = sum(row["seconds"] for row in read_json(folder / "model" / "history.json"))
    write_json(done, found)
    return found


def accuracies(records: Records) -> dict[str, Any]:
    """Balanced accuracy in percent, clean and in the worst case, and whether every answer is the same class."""
    clean = records.clean
    labels, answers = clean["label"], clean["clean_prediction"]
    standing = answers == labels
    after_pgd = standing.copy()
    position = {name: k for k, name in enumerate(clean["image_id"])}
    for attack in ("pgd", "autoattack"):
        rows = records.where(attack=attack)
        broken = [position[name] for name in rows["image_id"][rows["reached"]]]
        standing[broken] = False
        if attack == "pgd":
            after_pgd[broken] = False

    def balanced(right: np.ndarray) -> float:
        return 100 * float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))

    return {
        "clean": balanced(answers == labels),
        "pgd": balanced(after_pgd),
        "worst_case": balanced(standing),
        "num_images": len(labels),
        "collapsed": bool(len(np.unique(answers)) == 1),
    }


def rows_of(cells: Mapping[str, list[dict[str, Any]]]) -> list[list[Any]]:
    """One row an objective: means and standard deviations over seeds; by worst case, those that only collapse last."""

    def both(found: list[dict[str, Any]], key: str) -> list[str]:
        values = [one[key] for one in found]
        return [f"{statistics.mean(values):.1f}", f"{statistics.stdev(values):.1f}" if len(values) > 1 else "-"]

    rows = []
    for name, found in cells.items():
        seconds = statistics.mean(one["train_seconds"] for one in found)
        columns = [value for key in ("clean", "pgd", "worst_case") for value in both(found, key)]
        rows.append([name, len(found), *columns, sum(one["collapsed"] for one in found), f"{seconds:.1f}"])
    return sorted(rows, key=lambda row: (row[8] == row[1], -float(row[6])))


HEADER = ["objective", "seeds", "clean %", "sd", "PGD-20 %", "sd", "worst case %", "sd", "collapsed", "train seconds"]


def parsed() -> argparse.Namespace:
    """The command line."""
    out = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    out.add_argument("--root", default=os.environ.get("MEDROBUST_DATA"), help="folder of the data sets")
    out.add_argument("--sets", default=",".join(SETS))
    out.add_argument("--objectives", default=",".join(CELLS))
    out.add_argument("--seeds", type=int, default=3)
    out.add_argument("--epochs", type=int, default=8)
    out.add_argument("--limit", type=int, help="images of each set")
    out.add_argument("--network", default="zoo:cbr_tiny(width=8)")
    out.add_argument("--size", type=int, default=64)
    out.add_argument("--batch-size", type=int, default=32)
    out.add_argument("--lr", type=float, default=3e-3)
    out.add_argument("--epsilon", default="4/255")
    out.add_argument("--attack-steps", type=int, default=20, help="of each part of AutoAttack")
    out.add_argument("--attack-queries", type=int, default=200, help="of Square")
    out.add_argument("--jobs", type=int, default=os.cpu_count(), help="cells at a time, each in its own process")
    out.add_argument("--threads", type=int, default=1, help="of PyTorch, in each cell")
    out.add_argument("--device", default="cpu")
    out.add_argument("--out", default="runs/objectives")
    options = out.parse_args()
    options.name = None
    if not options.root:
        out.error("set MEDROBUST_DATA or give --root")
    for given, valid in ((options.sets, SETS), (options.objectives, CELLS)):
        unknown = [name for name in given.split(",") if name not in valid]
        if unknown:
            out.error(f"unknown {', '.join(unknown)}; valid: {', '.join(valid)}")
    return options


def work(job: tuple[argparse.Namespace, str, str, int]) -> dict[str, Any]:
    """One cell in a process of its own."""
    options, data, name, seed = job
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    found = cell(options, data, name, seed)
    shown = f"clean {found['clean']:.1f} %, worst case {found['worst_case']:.1f} %"
    print(f"{TITLES[data]} {name}, seed {seed}: {shown}", file=sys.stderr, flush=True)
    return found


def main() -> int:
    options = parsed()
    sets, names = options.sets.split(","), options.objectives.split(",")
    # Seed by seed, so that a table that is stopped is complete up to a seed.
    jobs = [(options, data, name, seed) for seed in range(options.seeds) for data in sets for name in names]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        found = dict(zip([job[1:] for job in jobs], pool.map(work, jobs), strict=True))
    for data in sets:
        cells = {name: [found[data, name, seed] for seed in range(options.seeds)] for name in names}
        kept = ("network", "size", "epochs", "batch_size", "lr", "epsilon", "limit", "attack_steps", "attack_queries")
        setting = {key: getattr(options, key) for key in kept}
        setting |= {
            "data": TITLES[data],
            "classes": SETS[data]["classes"],
            "test_images": cells[names[0]][0]["num_images"],
        }
        label = f"objectives_{TITLES[data]}"
        write(options, label, setting, HEADER, rows_of(cells), cells=cells)
    return 0


if __name__ == "__main__":
    sys.exit(main())
