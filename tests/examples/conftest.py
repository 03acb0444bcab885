"""A way to run an example without importing torch once more for each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 100  # for one script; each takes a few


@pytest.fixture(scope="session")
def source_path() -> str:
    """PYTHONPATH of a process that is to import this medrobust."""
    return os.pathsep.join(filter(None, (str(ROOT / "src"), os.environ.get("PYTHONPATH", ""))))


@pytest.fixture(scope="session")
def run_script(source_path: str) -> Iterator[Callable[[Path, Path], str]]:
    """(script, folder for its output) -> what it printed. Fails where the script does, or takes too long."""
    forks = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("fork_scripts.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": source_path, "CUDA_VISIBLE_DEVICES": ""},
    )

    def run(script: Path, out: Path) -> str:
        assert forks.stdin is not None
        assert forks.stdout is not None
        log = out.with_suffix(".log")
        print(json.dumps([str(script), str(out), str(log), SECONDS]), file=forks.stdin, flush=True)
        code = forks.stdout.readline().strip()
        printed = log.read_text(encoding="utf-8") if log.is_file() else ""
        assert code == "0", f"{script.name} ended with {code or 'nothing'}\n{printed}"
        return printed

    with forks:
        yield run
        forks.kill()  # it holds nothing that needs an orderly end
