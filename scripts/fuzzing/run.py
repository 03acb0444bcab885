"""One command in a forked process with limits, and what is to be said of how it ended."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import time
import traceback
import zlib
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from fuzzing.cases import KINDS, QUICK, Given
from fuzzing.valid import HAS_ONNX, everything

SECONDS, GIGABYTES = 60, 4
IMPORTED = ("torch._dynamo", "sklearn.metrics", "medrobust.face", "medrobust.cli", "onnx2torch", "pydicom", "nibabel")
# The last two are of libtiff, which writes past Python.
PROGRESS = re.compile(
    r"[\w ,]+: \d+ of \d+(, .*)?|epoch \d+/\d+: .*|warning: .*|tempfile\.tif: .*|\w*(TIFF|LZW|Fax|ZIP|Predictor)\w*: .*"
)
ACTIVE = re.compile(r"<script>alert|<img src=x onerror")  # names of ours that a page would carry out


class Outcome(NamedTuple):
    """How a case ended: right, refused or wrong, with the reason of the last; seconds, megabytes at the peak."""

    kind: str
    number: int
    verdict: str
    reason: str
    seconds: float
    megabytes: float
    words: str


def prepare() -> None:
    """Import what takes seconds, once."""
    os.environ |= {"MEDROBUST_CACHE": "off", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    for name in IMPORTED:
        if HAS_ONNX or name != "onnx2torch":
            import_module(name)
    import_module("torch").set_num_threads(1)


def forked(words: list[str], here: Path, seconds: int = SECONDS) -> tuple[int, float, float]:
    """Run a command in a forked process in `here`: exit code or minus the signal, seconds, megabytes at the peak."""
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = _inside(words, here, seconds)
        finally:
            os._exit(code)
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), time.monotonic() - began, usage.ru_maxrss / 1024


def _inside(words: list[str], here: Path, seconds: int) -> int:
    os.setpgid(0, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + (GIGABYTES << 30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    os.chdir(here)
    for number, name in ((0, os.devnull), (1, "stdout.txt"), (2, "stderr.txt")):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644), number)
    sys.argv = ["medrobust", *words]
    code = 0
    try:
        import_module("medrobust.cli").main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 98
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def make_seeds(folder: Path) -> None:
    """Valid files, and an audit of them."""
    folder.mkdir(parents=True)
    child = os.fork()
    if child == 0:
        try:
            everything(folder)
            os._exit(0)
        finally:
            os._exit(1)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("the valid files could not be made")
    here = folder / "work"
    shutil.copytree(folder / "images.png", here / "images")
    shutil.copytree(folder / "model", here / "model")
    words = ["audit", "--model", "model", "--data", "folder:images", "--out", "out", *QUICK]
    if forked(words, here)[0]:
        raise RuntimeError((here / "stderr.txt").read_text())
    (here / "out").rename(folder / "run")


def judge(code: int, here: Path, megabytes: float, held_before: bool) -> tuple[str, str]:
    """right, refused or wrong, and why it is wrong."""
    said = (here / "stderr.txt").read_text(errors="replace") if (here / "stderr.txt").exists() else ""
    lines = [line for line in said.splitlines() if line.strip() and not PROGRESS.fullmatch(line.strip())]
    out, page = here / "out", here / "out" / "report.html"
    if code == -signal.SIGALRM:
        return "wrong", f"no end after {SECONDS} s"
    if code < 0:
        return "wrong", f"ended by {signal.Signals(-code).name}"
    if "Traceback" in said or code == 98:
        return "wrong", f"traceback: {lines[-1] if lines else ''}"
    if code not in (0, 1, 2):
        return "wrong", f"exit code {code}: {lines[-1] if lines else ''}"
    if megabytes > GIGABYTES * 1024:
        return "wrong", f"{megabytes:.0f} MB"
    if list(here.rglob("*.tmp")):
        return "wrong", "a temporary file is left"
    if page.exists() and ACTIVE.search(page.read_text(errors="replace")):
        return "wrong", "a name is markup in report.html"
    if code == 2:
        if len(lines) != 1 or not lines[0].startswith("medrobust: "):
            return "wrong", f"{len(lines)} lines of refusal: {' | '.join(lines)[:300]}"
        if not all(c.isprintable() for c in lines[0]) or len(lines[0]) > 2000:
            return "wrong", "a refusal with control characters, or endless"
        if out.exists() and not held_before:
            return "wrong", f"refused, and left {', '.join(sorted(p.name for p in out.iterdir()))}: {lines[0][:200]}"
        return "refused", lines[0]
    return "right", ""


def case(number: int, seed: int, kind: str, seeds: Path, here: Path) -> Outcome:
    """Make, run and judge one case; its files stay in `here`."""
    here.mkdir(parents=True)
    rng = random.Random(zlib.crc32(f"{seed}/{number}/{kind}".encode()))
    words = KINDS[kind](Given(rng, seeds, here))
    (here / "words.json").write_text(json.dumps(words))
    held = (here / "out").exists()
    code, seconds, megabytes = forked(words, here)
    verdict, reason = judge(code, here, megabytes, held)
    return Outcome(kind, number, verdict, reason, seconds, megabytes, " ".join(words)[:300])
