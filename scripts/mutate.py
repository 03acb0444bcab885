"""Break the source on purpose, a line at a time, and see that a test goes red: `python scripts/mutate.py [WORDS ...]`.

The breaks are in scripts/breaks. WORDS choose those whose name or file contains one of them; without any, all are made.
Works on a copy of the source and the tests. Exit code 1 when a break goes unnoticed, or its line is no longer there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 300.0  # seconds for the tests of one break


class Break(NamedTuple):
    """A part of a file under src/medrobust, what it is turned into, and the tests that must notice."""

    name: str
    file: str
    line: str
    broken: str
    tests: tuple[str, ...]


class Result(NamedTuple):
    """The exit code of pytest and the tests that were red."""

    code: int
    red: list[str]


def read_breaks(path: Path) -> Iterator[Break]:
    """The breaks of a file: blocks of a name, lines that begin with - (as it is) and lines that begin with + (broken).

    `== FILE: TESTS` stands before the breaks of a source file and names the tests that are near to it.
    """
    file, tests = "", ()
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        if lines and lines[0].startswith("== "):
            file, _, named = lines.pop(0)[3:].partition(": ")
            tests = tuple(named.split())
        if lines:
            old, new = ("\n".join(line[1:] for line in lines if line[0] == sign) for sign in "-+")
            yield Break(lines[0], file, old, new, tests)


def problem(one: Break) -> str:
    """Why a break cannot be made, in words; nothing when it can."""
    path = ROOT / "src" / "medrobust" / one.file
    whole = path.read_text(encoding="utf-8") if path.exists() else ""
    count = whole.count(one.line)
    if not one.line or not one.tests:
        return "has no line or no tests"
    if count != 1:
        return f"is {count} times in the file" if count else "the line is gone"
    try:
        compile(whole.replace(one.line, one.broken), one.file, "exec")
    except SyntaxError as error:
        return f"is no Python when broken: {error.msg}"
    return ""


def run(copy: Path, *arguments: str, seconds: float | None = None) -> Result:
    """pytest in the copy; cached results of broken code stay out of the user's cache."""
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(copy / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MEDROBUST_CACHE": "off",
    }
    options = ("-q", "-p", "no:cacheprovider", "--tb=no", "--hypothesis-profile=fails")
    command = [sys.executable, "-m", "pytest", *options, *arguments]
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return Result(-1, [f"no end after {seconds:.0f} seconds"])
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return Result(done.returncode, [line.split(" - ")[0].split(" ", 1)[1] for line in lines])


def first_red(copy: Path, one: Break, red_before: Iterable[str]) -> tuple[str, bool]:
    """The first test that notices, and whether one does."""
    path = copy / "src" / "medrobust" / one.file
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace(one.line, one.broken), encoding="utf-8")
    try:
        code, red = run(copy, *one.tests, "-x", *(f"--deselect={test}" for test in red_before), seconds=LONGEST)
    finally:
        path.write_text(whole, encoding="utf-8")
    if code == 0:
        return "**nothing**", False
    # Only 1 means that tests ran and failed: what stops pytest itself says nothing about the tests.
    return ", ".join(red) if code == 1 else f"**pytest: exit code {code}** {' '.join(red)}", code == 1


def main(words: list[str]) -> int:
    breaks = [one for path in sorted((ROOT / "scripts" / "breaks").glob("*.txt")) for one in read_breaks(path)]
    chosen = [one for one in breaks if not words or any(word in one.name or word in one.file for word in words)]
    if not chosen or len({one.name for one in breaks}) < len(breaks):
        print("no break has this name" if not chosen else "two breaks have one name", file=sys.stderr)
        return 2
    unnoticed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in ("src", "tests"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        # What is red anyway proves nothing.
        code, before = run(copy, *dict.fromkeys(test for one in chosen if not problem(one) for test in one.tests))
        if code not in (0, 1):
            print(f"the tests do not run: pytest ends with {code}", *before, sep="\n- ", file=sys.stderr)
            return 2
        print(f"{len(before)} tests are red before anything is broken", *before, sep="\n- ", end="\n\n")
        print("| file | broken | test that goes red | seconds |\n|---|---|---|---|", flush=True)
        for one in chosen:
            began, wrong = time.monotonic(), problem(one)
            said, noticed = (f"**{wrong}**", False) if wrong else first_red(copy, one, before)
            unnoticed += not noticed
            print(f"| {one.file} | {one.name} | {said} | {time.monotonic() - began:.0f} |", flush=True)
    print(f"\n{len(chosen) - unnoticed} of {len(chosen)} breaks noticed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
