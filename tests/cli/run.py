"""The command line in this process: exit code, standard output, standard error."""

import sys
from pathlib import Path

import pytest

from medrobust.cli import main as command

QUICK = (
    "attacks=[fgsm,pgd]",
    "attacks.pgd.num_steps=3",
    "threat.epsilons=[1/255,8/255]",
    "data.split=all",
    "device=cpu",
)


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    before, sys.argv = sys.argv, ["medrobust", *map(str, words)]
    try:
        command()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = before
    out, err = capsys.readouterr()
    return code, out, err


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """The one line of a refusal; fails when it is not exactly one clear line with exit code 2."""
    code, _, err = run(capsys, *words)
    lines = [line for line in err.splitlines() if line.startswith("medrobust: ")]
    assert code == 2, err
    assert len(lines) == 1, err
    assert "Traceback" not in err
    return lines[0]
