"""Break the core on purpose, one line at a time, and see that a test goes red: `python scripts/mutate.py [NAME ...]`.

Works on a copy of the source and the tests. Exit code 1 when a break goes unnoticed, or its line is no longer there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
TESTS = ("tests/laws", "tests/identities", "tests/exact", "tests/contract")
# Where a break of a file should be noticed first; all of TESTS run where it is not.
NEAREST = {
    "losses.py": "tests/laws/test_loss_laws.py",
    "goals.py": "tests/laws/test_loss_laws.py",
    "norms.py": "tests/laws/test_norm_laws.py",
    "threat.py": "tests/laws/test_ball_laws.py",
    "streams.py": "tests/laws/test_stream_laws.py",
    "engine/tree.py": "tests/laws/test_tree_laws.py",
    "engine/": "tests/identities/test_attack_identities.py",
    "attacks/combine.py": "tests/identities/test_attack_identities.py",
    "attacks/hop_skip_jump.py": "tests/identities/test_hop_skip_jump.py",
    "": "tests/identities/test_noise_transfer_wrappers.py",
}


class Break(NamedTuple):
    """One line of a file under src/medrobust, and what it is turned into."""

    file: str
    line: str
    broken: str


BREAKS: dict[str, Break] = {
    "cross_entropy: sign of a target": Break(
        "losses.py",
        "    return -value if goal.targeted else value",
        "    return value",
    ),
    "margin: sign": Break(
        "losses.py",
        "    return own - other if goal.targeted else other - own",
        "    return other - own if goal.targeted else own - other",
    ),
    "margin: multi-label target": Break(
        "losses.py",
        "        return agreement.amin(1) if goal.targeted else -agreement.amin(1)",
        "        return agreement.amax(1) if goal.targeted else -agreement.amin(1)",
    ),
    "margin: source ignored": Break(
        "losses.py", "    if goal.source is not None:\n        return own", "    if False:\n        return own"
    ),
    "dlr: scale": Break("losses.py", "(top[:, 2] + top[:, 3]) / 2 if goal.targeted else top[:, 2]", "top[:, 1]"),
    "one logit: order of the classes": Break(
        "goals.py",
        "torch.cat([torch.zeros_like(logits), logits], 1)",
        "torch.cat([logits, torch.zeros_like(logits)], 1)",
    ),
    "goal: reached": Break("goals.py", "return same if self.targeted else ~same", "return same"),
    "least likely: includes the label": Break("goals.py", "if self.exclude_label else", "if False else"),
    "linf: projection": Break(
        "norms.py",
        "return torch.minimum(torch.maximum(d, -bound), bound)",
        "return torch.minimum(d, bound)",
    ),
    "l2: projection": Break("norms.py", "d * (per_sample(radius, d) / size), d)", "d, d)"),
    "l1: projection": Break("norms.py", "shrunk = flat.sign() * (size - shrink).clamp_min(0)", "shrunk = flat"),
    "l1: projection far from a small ball": Break(
        "norms.py", ".clamp_min(torch.finfo(d.dtype).tiny)).clamp_max(1)", ".clamp_min(1e30)).clamp(1, 1)"
    ),
    "linf: steepest sign": Break("norms.py", "return g.sign()", "return -g.sign()"),
    "l2: steepest without scaling": Break(
        "norms.py",
        "g = g / per_sample(g.flatten(1).abs().amax(1), g).clamp_min(torch.finfo(g.dtype).tiny)",
        "g = g * 1.0",
    ),
    "l1: steepest coordinate": Break("norms.py", "where = flat.abs().argmax(1", "where = flat.argmax(1"),
    "l2: sample length": Break("norms.py", "** (1 / max(like.flatten(1).shape[1], 1))", ""),
    "l1: sample sign": Break("norms.py", "uniform(flat) < 0.5, -1.0, 1.0)", "uniform(flat) < 0.0, -1.0, 1.0)"),
    "ball: mask in project": Break("threat.py", "d = torch.where(self.mask, d, 0)", "d = d + 0"),
    "ball: clamp to the domain": Break("threat.py", "self.radius)).clamp(*self.domain)", "self.radius))"),
    "ball: mask in round_inside": Break("threat.py", "x = torch.where(self.mask, x, self.center)", "x = x + 0"),
    "ball: step back inside": Break(
        "threat.py", "return torch.where(out, torch.nextafter(x, self.center), x)", "return x"
    ),
    "ball: contains ignores the mask": Break(
        "threat.py", "inside &= ((x == self.center) | self.mask)", "inside &= (x == x)"
    ),
    "keep: smallest_success keeps the farthest": Break(
        "engine/keep.py", "-ball.distance(point.x)", "ball.distance(point.x)"
    ),
    "keep: highest keeps the lowest": Break(
        "engine/keep.py", "        return point.score.value\n", "        return -point.score.value\n"
    ),
    "keep: first_reached goes on": Break("engine/keep.py", "torch.where(kept.reached, -won, value)", "value"),
    "keep: ties replace": Break("engine/keep.py", "better = rank > kept.rank", "better = rank >= kept.rank"),
    "step: descends": Break(
        "engine/steps.py", "ball.project(point.x + per_sample(state", "ball.project(point.x - per_sample(state"
    ),
    "momentum: no memory": Break("engine/steps.py", "self.decay * velocity + point.grad", "point.grad"),
    "program: start outside stays": Break(
        "engine/program.py", "torch.where(inside, start, ball.project(start))", "start"
    ),
    "streams: labels ignored": Break("streams.py", "keys = _mix(_mix(keys) ^ value)", "keys = _mix(keys)"),
    "streams: mixing by xor alone": Break("streams.py", "keys = _mix(_mix(keys) ^ value)", "keys = keys ^ value"),
    "streams: one key for the batch": Break(
        "streams.py",
        "_mix(self.keys[:, None] + counter)",
        "_mix(self.keys[:1, None] + counter + self.keys[:, None] * 0)",
    ),
    "tree: put": Break("engine/tree.py", "t.index_copy(0, index, o.to(t.dtype))", "t"),
    "tree: choose": Break("engine/tree.py", "1)), a, b), yes, no)", "1)), b, a), yes, no)"),
    "worst case: goes on with the broken": Break(
        "attacks/combine.py", "open_.index_copy(0, index, ~won)", "open_.index_copy(0, index, won)"
    ),
    "restarts: the same start each time": Break(
        "attacks/combine.py", '.child("attack", number)', '.child("attack", 0)'
    ),
    "select: a mask cut by image": Break("attacks/combine.py", "mask.ndim == x.ndim and ", ""),
    "hop_skip_jump: sign of the slope": Break(
        "attacks/hop_skip_jump.py", "model(there)), 1.0, -1.0)", "model(there)), -1.0, 1.0)"
    ),
    "noise: budget not filled": Break("attacks/noise.py", "ball.radius / size, d)", "0.5 * ball.radius / size, d)"),
    "transfer: runs on the model": Break(
        "attacks/transfer.py", "self.attack(self.surrogate, x", "self.attack(model, x"
    ),
    "bpda: value of the stand-in": Break(
        "models/wrappers.py", "return value + (smooth - smooth.detach())", "return smooth"
    ),
}


def run(copy: Path, *arguments: str) -> list[str]:
    """The red tests, none when all are green."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--tb=no",
        "--hypothesis-profile=fails",
        *arguments,
    ]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    red = [line.split(" - ")[0].split(" ", 1)[1] for line in lines]
    return red or ([f"pytest: exit code {done.returncode}"] if done.returncode else [])


def first_red(copy: Path, file: str, red_before: list[str]) -> str:
    """The first test that notices: among those nearest to the file, else among all."""
    skipped = ["-x", *(f"--deselect={test}" for test in red_before)]
    nearest = next(tests for prefix, tests in NEAREST.items() if file.startswith(prefix))
    red = run(copy, nearest, *skipped) or run(copy, *TESTS, *skipped)
    return red[0] if red else ""


def main(names: list[str]) -> int:
    chosen = {name: BREAKS[name] for name in names} if names else BREAKS
    unnoticed = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in ("src", "tests"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        # What is red anyway proves nothing.
        before = run(copy, *dict.fromkeys(NEAREST.values()))
        print(f"{len(before)} tests are red before anything is broken", *before, sep="\n- ", end="\n\n")
        print("| broken | first test that goes red | seconds |\n|---|---|---|", flush=True)
        for name, (file, line, broken) in chosen.items():
            path, began = copy / "src" / "medrobust" / file, time.monotonic()
            whole = path.read_text()
            path.write_text(whole.replace(line, broken))
            red = first_red(copy, file, before) if line in whole else ""
            path.write_text(whole)
            if not red:
                unnoticed.append(name)
            verdict = red or ("**nothing**" if line in whole else "**the line is gone**")
            print(f"| {name} | {verdict} | {time.monotonic() - began:.0f} |", flush=True)
    print(f"\n{len(chosen) - len(unnoticed)} of {len(chosen)} breaks noticed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
