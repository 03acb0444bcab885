"""How the whole command grows with images, budgets and pixels: `medrobust audit` as a person waits for it.

    python benchmarks/growth.py [--only images budgets pixels] [--repeats 1]

Each row is a command in a process of its own with the set `quick`: seconds from its start to its end, of them the
attacks' and the other stages', and the most memory that the process held. The facts of the pictures that an earlier
command kept are taken away first.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from common import write

TRAINED = "runs/trained_models/speed_resnet18"
FOLDER = ("--model", TRAINED, "--data", f"folder:{TRAINED}/test", "data.split=all", "data.color=rgb", "data.limit=96")
TEN = "geometric(0.1/255, 10/255, 10)"


def bundled(count: int, epsilons: str) -> tuple[str, ...]:
    """The bundled classifier on so many images of the phantom."""
    return ("--data", f"phantom:ultrasound@64,count={count}", "data.split=all", f"threat.epsilons={epsilons}")


ROWS: dict[str, dict[str, tuple[str, ...]]] = {
    "images": {str(count): bundled(count, TEN) for count in (100, 1000, 10000)},
    "budgets": {str(n): bundled(1000, f"geometric(0.1/255, 10/255, {n})" if n > 1 else "2/255") for n in (1, 10, 29)},
    "pixels": {str(side): (*FOLDER, f"data.image_size={side}", f"threat.epsilons={TEN}") for side in (64, 112, 224)},
}


def once(command: Sequence[str], threads: int) -> dict[str, float]:
    """Seconds and the largest memory in MiB of one command, in an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        surroundings = os.environ | {"MEDROBUST_CACHE": str(place / "cache"), "OMP_NUM_THREADS": str(threads)}
        arguments = [sys.executable, "-m", "medrobust", "audit", *command, "--out", str(place / "out"), "attacks=quick"]
        began = perf_counter()
        with open(place / "said", "wb") as said:
            child = subprocess.Popen(arguments, env=surroundings, stdout=said, stderr=said)
            _, status, used = os.wait4(child.pid, 0)
        wall = perf_counter() - began
        if status:
            raise SystemExit((place / "said").read_text())
        cost = json.loads((place / "out" / "audit.json").read_text())["cost"]
        images = json.loads((place / "out" / "audit.json").read_text())["data"]["num_images"]
    return {
        "images": images,
        "wall": wall,
        "attacks": cost["seconds"],
        "gradients": cost["backwards"] / images,
        "memory": used.ru_maxrss / 1024,
    }


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--only", nargs="*", default=list(ROWS), choices=list(ROWS))
    options.add_argument("--repeats", type=int, default=1)
    options.add_argument("--threads", type=int, default=os.cpu_count())
    options.add_argument("--name", default="growth")
    arguments = options.parse_args()
    arguments.device = "cpu"
    rows: list[list[Any]] = []
    for kind in arguments.only:
        for size, command in ROWS[kind].items():
            runs = [once(command, arguments.threads) for _ in range(arguments.repeats)]
            middle = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
            wall, attacks = middle["wall"], middle["attacks"]
            rows.append([kind, size, int(middle["images"]), wall, attacks, middle["gradients"], middle["memory"]])
            print(rows[-1], file=sys.stderr, flush=True)
    header = ["grows", "to", "images", "seconds", "of them attacks", "gradients/image", "MiB"]
    write(arguments, "growth", {"repeats": arguments.repeats}, header, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
