"""Remake every figure of docs/performance.md, and the page: hours on a quiet machine.

    python benchmarks/trained_models.py --only speed_resnet18 speed_shufflenet speed_cbr    # once
    .venv-peers/bin/python benchmarks/all.py [--only RESULT ...]    # the measurements, then the page
    python benchmarks/all.py --page                                 # the page alone, from benchmarks/results

The page is a function of the files in results/ and of the sections below; a test sees that it is up to date.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
GRID = "0.01/255,0.02/255,0.03/255,0.05/255,0.1/255,0.2/255,0.3/255,0.5/255,0.8/255,1/255"
MODELS = "runs/trained_models"


@dataclass(frozen=True)
class Section:
    """A table of the page: the name of its result, what it says in words, and the arguments that make it."""

    result: str
    title: str
    words: str
    command: tuple[str, ...] = ()


def curve(model: str, *more: str) -> tuple[str, ...]:
    """The arguments of a curve of a model of 112 px."""
    where = f"{MODELS}/{model}"
    view = ("data.split=all", "data.color=rgb", "data.image_size=112", "--limit", "96", "--careful", "0")
    return ("curve.py", "--model", where, "--data", f"folder:{where}/test", *view, *more)


SECTIONS = (
    Section(
        "curve_10_resnet18",
        "The curve of PGD-20 at 10 budgets: ResNet-18",
        "All of `measure` (reading, the choice of the copy, the search, the checks, writing) against the attack alone "
        "of a peer, which attacks each budget on its own.",
        curve("speed_resnet18", "--libraries", "adv-lib", "--repeats", "1", "--name", "curve_10_resnet18"),
    ),
    Section(
        "curve_10_cbr",
        "The same: CBR-LargeT",
        "This was measured before a copy that rounds so much was left out: now the row of float32 is what is chosen.",
        curve("speed_cbr", "--libraries", "adv-lib", "--repeats", "1", "--name", "curve_10_cbr"),
    ),
    Section(
        "curve_10_shufflenet",
        "The same: ShuffleNetV2 x0.5",
        "Its budgets are a tenth of the others: at those it has no curve.",
        curve(
            *("speed_shufflenet", "--epsilons", GRID, "--libraries", "torchattacks,foolbox,adv-lib"),
            *("--repeats", "2", "--name", "curve_10_shufflenet"),
        ),
    ),
    Section(
        "curve_29_shufflenet",
        "29 budgets: ShuffleNetV2 x0.5",
        "One thread, other work on the other core. The budgets are a tenth of those of Rodriguez et al. 2022.",
    ),
    Section(
        "worst_case_standard_ham4",
        "The truth cheaply: the set `standard` at 10 budgets against the original AutoAttack at each",
        "36 images of four classes that the model has right, ShuffleNetV2 of 112 px, one thread, other work on the "
        "other core. At 0.048/255 two images more stand after `standard`.",
    ),
    Section(
        "growth",
        "How the whole command grows",
        "`medrobust audit attacks=quick` as a person waits for it, from its start to its end, with reading, checks, "
        "pictures and report: the bundled classifier with images and budgets, ResNet-18 with pixels. Made before the "
        "checks that prove the attacks, which add seconds.",
        ("growth.py",),
    ),
    Section(
        "curve_10_h100",
        "The same on a graphics card, where small work does not pay",
        "260 images of 64 px fit into two batches, so a peer's 200 gradients one after the other take as long as the "
        "searches, the copies and the checks of medrobust, which wait for the host.",
    ),
    Section(
        "throughput_h100",
        "The engine against bare gradients, 224 px, on a graphics card",
        "Gradients a second at full lanes. `graphs` replays the copy from CUDA graphs.",
    ),
    Section(
        "sweep_against_plain_h100",
        "Equal strength: the sweep against the attack at each budget, on a graphics card",
        "Images that stand after a run of the attack at each of four budgets, and after the sweep. Its whole runs use "
        "the copy that searches. A positive number in `most above` would be a weaker sweep. Seconds include the choice "
        "of the copy.",
    ),
    Section(
        "sweep_against_plain",
        "The same on a CPU",
        "Made before the whole runs moved to the copy.",
        ("sweep_against_plain.py",),
    ),
    Section(
        "attack_sets",
        "The named sets of attacks against everything",
        "`most above`: at the worst of ten budgets, so many images stand after the set and not after everything.",
        ("attack_sets.py", "--limit", "32", "--batch-size", "32"),
    ),
    Section(
        "statistics_speed",
        "Intervals of an audit of 10,000 images",
        "",
        ("statistics_speed.py",),
    ),
    Section(
        "training_speed_32",
        "An epoch of adversarial training",
        "Of version 0.1.0, on a processor with matrix units for bfloat16.",
        ("training_speed.py", "--batch-size", "32", "--repeats", "3", "--name", "training_speed_32"),
    ),
    Section(
        "worst_case_4_budgets",
        "AutoAttack at four budgets",
        "Of version 0.1.0.",
    ),
)


def made_by(content: dict[str, Any]) -> str:
    """Machine, versions and command of a result in one paragraph."""
    machine = content["machine"]
    where = (
        machine["device"]
        if machine.get("device", "cpu") != "cpu"
        else f"{machine['cpu']}, {machine['threads']} threads"
    )
    commit = str(machine.get("commit") or "unknown")[:8]
    return f"{where}; PyTorch {machine['versions']['torch']}; commit {commit}; `{machine['command']}`"


def page(sections: tuple[Section, ...] = SECTIONS) -> str:
    """The whole page."""
    parts = [
        "# Performance\n",
        "Generated by `python benchmarks/all.py --page` from `benchmarks/results/`; "
        "[the rules of the comparisons](../benchmarks/README.md). "
        "Every table is of one run on one machine; tables of different machines do not compare.\n",
    ]
    for section in sections:
        content = json.loads((HERE / "results" / f"{section.result}.json").read_text())
        table = (HERE / "results" / f"{section.result}.md").read_text().strip()
        parts += [f"## {section.title}\n", *([section.words + "\n"] if section.words else []), table + "\n"]
        parts += [made_by(content) + "\n"]
    return "\n".join(parts)


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--page", action="store_true", help="write the page alone")
    known = [section.result for section in SECTIONS if section.command]
    options.add_argument("--only", nargs="*", default=known, choices=known, metavar="RESULT")
    arguments = options.parse_args()
    for section in SECTIONS:
        if not arguments.page and section.result in arguments.only:
            subprocess.run([sys.executable, str(HERE / section.command[0]), *section.command[1:]], check=True)
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
