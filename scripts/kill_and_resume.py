"""Kill an audit or a training with SIGKILL at random moments, go on, and compare with an uninterrupted run.

    python scripts/kill_and_resume.py audit --times 10
    python scripts/kill_and_resume.py train --times 10

Prints a line a trial; exit code 1 when a resumed run differs in any row (audit) or any weight (train).
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

AUDIT = ("audit", "--data", "phantom", "data.split=all", "data.limit=400", "attacks=[bim,pgd]")
RECIPE = """
model: zoo:cbr_tiny(width=8)
data: {name: phantom, limit: 400}
objective: {name: adversarial, clean_weight: 0.5}
threat: {epsilon: 2/255}
attack: {name: pgd, num_steps: 3}
epochs: 4
save_every: 3
"""


def command(kind: str, out: Path, folder: Path) -> list[str]:
    start = [sys.executable, "-m", "medrobust"]
    if kind == "audit":
        return [*start, *AUDIT, "--out", str(out)]
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE)
    return [*start, "train", str(recipe), "--out", str(out)]


def finish(words: list[str]) -> float:
    began = time.monotonic()
    subprocess.run(words, check=True, capture_output=True)
    return time.monotonic() - began


def killed(words: list[str], after: float) -> bool:
    """Start, kill after so many seconds; whether it was still running then."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(after)
        return False
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True


def differs(kind: str, one: Path, other: Path) -> str:
    """What is different between two finished runs; "" when nothing is."""
    if kind == "audit":
        import pyarrow.parquet as pq

        same = pq.read_table(one / "records.parquet").equals(pq.read_table(other / "records.parquet"))
        return "" if same else "records.parquet"
    import torch
    from safetensors.torch import load_file

    for name in sorted(path.relative_to(one) for path in one.rglob("*.safetensors")):
        a, b = load_file(one / name), load_file(other / name)
        if a.keys() != b.keys() or not all(torch.equal(a[key], b[key]) for key in a):
            return str(name)
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("audit", "train"))
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    random.seed(given.seed)
    folder = Path(tempfile.mkdtemp(prefix="kill-"))
    whole = folder / "whole"
    seconds = finish(command(given.kind, whole, folder))
    print(f"uninterrupted: {seconds:.1f} s", flush=True)
    wrong = hits = 0
    for trial in range(given.times):
        out = folder / f"trial{trial}"
        after = random.uniform(0.2, 0.98) * seconds
        was = killed(command(given.kind, out, folder), after)
        rest = finish(command(given.kind, out, folder))
        bad = differs(given.kind, whole, out)
        hits, wrong = hits + was, wrong + bool(bad)
        state = "killed" if was else "already done"
        print(f"trial {trial}: {state} after {after:.1f} s, resumed for {rest:.1f} s, {bad or 'equal'}", flush=True)
    print(f"{hits} kills, {wrong} differences")
    shutil.rmtree(folder)
    return 1 if wrong or not hits else 0


if __name__ == "__main__":
    sys.exit(main())
