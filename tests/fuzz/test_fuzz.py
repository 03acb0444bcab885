"""A hundred spoiled files and words, the same in every run; and that the judge of their ends can say no."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="limits of memory and links to devices are those of Linux"
)


def test_a_hundred_spoiled_files_are_right_or_refused_in_one_line(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(SCRIPTS / "fuzz.py"),
        "--cases",
        "100",
        "--seed",
        "7",
        "--keep",
        str(tmp_path / "fuzz"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    total = next(line for line in done.stdout.splitlines() if line.startswith("| all |"))
    cases, right, refused, wrong = map(int, re.findall(r"\d+", total)[:4])
    assert (cases, right + refused, wrong) == (100, 100, 0)
    assert min(right, refused) > 15  # neither is all that is tried


def judged(
    monkeypatch: pytest.MonkeyPatch, here: Path, code: int, said: str, megabytes: float = 500.0
) -> tuple[str, str]:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from fuzzing.run import judge

    (here / "stderr.txt").write_text(said)
    return judge(code, here, megabytes, False)


ENDS = {
    "right": (0, "images: 3 of 3, done in 0 s\n", ""),
    "findings": (1, "fail: leaks\n", ""),
    "refused": (2, "images: 3 of 4\nwarning: x\nmedrobust: x: is wrong. Do y\n", ""),
    "traceback": (1, "Traceback (most recent call last):\nKeyError: 'x'\n", "traceback: KeyError"),
    "fault": (70, "medrobust: this is a fault of medrobust\n", "exit code 70"),
    "two lines": (2, "medrobust: x\nmedrobust: y\n", "2 lines"),
    "no line": (2, "", "0 lines"),
    "control": (2, "medrobust: \x1b[2J\n", "control"),
    "hang": (-14, "", "no end"),
    "crash": (-11, "", "SIGSEGV"),
}


@pytest.mark.parametrize("kind", ENDS)
def test_the_judge(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, said, reason = ENDS[kind]
    verdict, why = judged(monkeypatch, tmp_path, code, said)
    assert verdict == ("wrong" if reason else "refused" if code == 2 else "right")
    assert reason in why


def test_the_judge_looks_at_what_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert judged(monkeypatch, tmp_path, 2, "medrobust: x\n")[1].startswith("refused, and left")
    (out / "report.html").write_text("<p><script>alert(1)</script></p>")
    assert "markup" in judged(monkeypatch, tmp_path, 0, "")[1]
    (out / "report.html").write_text("&lt;script&gt;alert(1)")
    assert judged(monkeypatch, tmp_path, 0, "")[0] == "right"
    assert judged(monkeypatch, tmp_path, 0, "", 5000.0) == ("wrong", "5000 MB")
    (out / ".run.json.x.tmp").write_text("")
    assert judged(monkeypatch, tmp_path, 0, "")[1] == "a temporary file is left"
