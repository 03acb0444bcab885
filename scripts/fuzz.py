"""Spoil valid files at random and see that every command copes: `python scripts/fuzz.py --cases 1000 --seed 0`.

Images, DICOM, NIfTI, arrays, tables, recipes, weights, cards, ONNX and the files of a run are changed in bytes, length,
types, sizes, encodings and names; there are bombs, links, pipes. `data check`, `audit`, `train` and `report` must then
be right or refuse in one line. Wrong are a traceback, an exit code other than 0, 1 and 2, a folder left by a refusal,
more than one line, more than a minute, more than 4 GB. Prints a table; exit code 1 when a case is wrong; Linux only.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from fuzzing.cases import KINDS
from fuzzing.run import Outcome, case, make_seeds, prepare


def fuzz(cases: int, seed: int, folder: Path, kinds: list[str], *, first: int = 0, keep: bool = False) -> list[Outcome]:
    """The outcomes of so many cases, kinds in turn; the folders of wrong ones stay in `folder`."""
    prepare()
    make_seeds(folder / "valid")
    outcomes = []
    for number in range(first, first + cases):
        kind = kinds[number % len(kinds)]
        here = folder / f"{number:05d}-{''.join(c if c.isalnum() else '-' for c in kind)}"
        outcome = case(number, seed, kind, folder / "valid", here)
        outcomes.append(outcome)
        if outcome.verdict == "wrong":
            print(f"{here.name}: {outcome.reason[:500]}\n    medrobust {outcome.words}", flush=True)
        if outcome.verdict != "wrong" and not keep:
            shutil.rmtree(here)
    return outcomes


def table(outcomes: list[Outcome]) -> str:
    """Counts, time and memory by kind."""
    lines = ["| kind | cases | right | refused | wrong | seconds | most MB |", "|---|---|---|---|---|---|---|"]
    kinds = list(dict.fromkeys(outcome.kind for outcome in outcomes))
    for kind in (*kinds, "all"):
        some = [outcome for outcome in outcomes if kind in (outcome.kind, "all")]
        found = Counter(outcome.verdict for outcome in some)
        counts = " | ".join(str(found[verdict]) for verdict in ("right", "refused", "wrong"))
        seconds, most = sum(o.seconds for o in some), max(o.megabytes for o in some)
        lines.append(f"| {kind} | {len(some)} | {counts} | {seconds:.0f} | {most:.0f} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="Number of the first case, to make one again.")
    parser.add_argument("--kinds", default="", help="Only kinds that contain this.")
    parser.add_argument("--keep", type=Path, help="Folder for all cases; by default wrong ones stay in a new one.")
    given = parser.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp(prefix="fuzz-"))
    kinds = [kind for kind in KINDS if given.kinds in kind]
    began = time.monotonic()
    outcomes = fuzz(given.cases, given.seed, folder, kinds, first=given.first, keep=given.keep is not None)
    print(table(outcomes))
    print(f"\n{time.monotonic() - began:.0f} s, files in {folder}")
    return 1 if any(outcome.verdict == "wrong" for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
