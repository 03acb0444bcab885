"""The sweep against the attack whose name it bears: one cold run of the attack at every budget, on trained models.

    python benchmarks/trained_models.py            # the models and their images, once
    python benchmarks/sweep_against_plain.py       # goes on where it stopped

`plain` is what a careful user would write: budgets ascending, every image still standing attacked from the attack's
own start, a point that won on the way kept, a success counted when the model says so again in float32. `sweep` is
`medrobust.measure`. Both see the same right images and the same random numbers. The table says, for every model and
attack, how many more images stand after the sweep than after the plain runs at the worst budget (a positive number: the
sweep is weaker), and what both cost.
"""

from __future__ import annotations

import argparse
import json
import sys
from time import perf_counter
from typing import Any

import torch
from common import RESULTS, Counting, write
from torch import Tensor
from trained_models import RECIPES, load

import medrobust as mr
from medrobust.attacks.build import build_attack
from medrobust.attacks.honest import honest
from medrobust.goals import as_classes
from medrobust.streams import Streams

ATTACKS: dict[str, dict[str, Any]] = {"pgd": {}, "cw_linf": {}, "mi_fgsm": {}, "apgd": {"num_steps": 25}}
SHARES = (0.5, 1, 1.5, 2.5)  # of the median of the smallest changes of a model, so that each curve falls here
PARTS = RESULTS.parent.parent / "runs" / "sweep_against_plain"


def budgets(model: mr.Classifier, images: mr.ImageSet) -> list[float]:
    """Budgets on the scale of [0, 1], by a quick search for the smallest changes of 32 images."""
    batch = images.batch(range(min(32, len(images))))
    x_adv = mr.attacks.fmn(num_steps=30)(model, batch.x, batch.y, mr.Threat(1.0))
    middle = float((x_adv - batch.x).flatten(1).abs().amax(1).median())
    return [float(f"{share * middle:.3g}") for share in SHARES]


def plain(
    model: Counting, x: Tensor, y: Tensor, ids: list[str], name: str, epsilons: list[float], batch_size: int
) -> list[int]:
    """Images that stand at each budget."""
    attack, standing, counts = honest(build_attack(name, ATTACKS[name])), torch.ones(len(x), dtype=torch.bool), []
    streams = Streams.of(0, ids, x.device).child(name)
    for j, epsilon in enumerate(epsilons):
        for part in standing.nonzero()[:, 0].split(batch_size):
            part, threat = part.to(x.device), mr.Threat(epsilon)
            x_adv = attack(model, x[part], y[part], threat, generator=streams[part].child(j))
            with torch.no_grad():
                standing[part.cpu()] = as_classes(model.model(x_adv)).argmax(1).cpu() == y[part].cpu()
        counts.append(int(standing.sum()))
    return counts


def swept(
    model: mr.Classifier, images: mr.ImageSet, name: str, linf: list[float], batch_size: int, device: str
) -> tuple[list[int], float]:
    """Images that stand at each budget, and gradients per image."""
    attacks = {name: build_attack(name, ATTACKS[name])}
    records = mr.measure(model, images, attacks, linf=linf, batch_size=batch_size, device=device)
    rows = records.where(attack=name)
    epsilons = sorted(set(rows["epsilon"].tolist()))
    standing = [int((~rows["reached"][rows["epsilon"] == e]).sum()) for e in epsilons]
    return standing, float(rows["backwards"].sum()) / len(images)


def compare(name: str, limit: int, batch_size: int, device: str) -> list[dict[str, Any]]:
    """One row an attack, for one model."""
    model, images = load(name, limit)
    # The plain runs are those of single precision.
    torch.backends.cudnn.allow_tf32 = False
    with model.frozen():
        batch, ids = images.batch(range(len(images))), [sample.image_id for sample in images.samples]
        epsilons = budgets(model, images)
        counting, rows = Counting(model.to(device)), list[dict[str, Any]]()
        for attack in ATTACKS:
            began = perf_counter()
            alone = plain(counting, batch.x.to(device), batch.y.to(device), ids, attack, epsilons, batch_size)
            cost, seconds = counting.counts()[1] / len(images), perf_counter() - began
            row: dict[str, Any] = {
                "model": name,
                "attack": attack,
                "images": len(images),
                "plain": alone,
                "epsilons": epsilons,
            }
            row |= {"plain_gradients": cost, "plain_seconds": seconds}
            began = perf_counter()
            row["sweep"], row["sweep_gradients"] = swept(model, images, attack, epsilons, batch_size, device)
            row["sweep_seconds"] = perf_counter() - began
            rows.append(row)
            print(json.dumps(row), flush=True)
    return rows


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--only", nargs="*", default=list(RECIPES), choices=list(RECIPES), metavar="NAME")
    options.add_argument("--limit", type=int, default=160, help="right images of each model")
    options.add_argument("--batch-size", type=int, default=64)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--device", default="cpu")
    options.add_argument("--name")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    PARTS.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in arguments.only:
        part = PARTS / f"{name}-{arguments.limit}-{arguments.device}.json"
        if not part.exists():
            part.write_text(json.dumps(compare(name, arguments.limit, arguments.batch_size, arguments.device)))
        rows += json.loads(part.read_text())
    table = [
        [
            row["model"],
            row["attack"],
            row["images"],
            " ".join(map(str, row["plain"])),
            " ".join(map(str, row["sweep"])),
            max(a - b for a, b in zip(row["sweep"], row["plain"], strict=True)),
            row["plain_gradients"],
            row["sweep_gradients"],
        ]
        for row in rows
    ]
    header = ["model", "attack", "images", "plain: standing", "sweep: standing", "most above"]
    setting = {"shares": list(SHARES), "limit": arguments.limit, "batch_size": arguments.batch_size}
    write(arguments, "sweep_against_plain", setting, [*header, "gradients plain", "sweep"], table, parts=rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
