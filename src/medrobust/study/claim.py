"""Who works on a cell: a file with a heartbeat, so that two workers never do the same one."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

CLAIM, GUARD = ".claim", ".guard"
BEAT = 10.0  # seconds between heartbeats
STALE = 120.0  # seconds without one, after which another worker may take the cell


@contextmanager
def claim(folder: Path) -> Iterator[bool]:
    """Hold the claim of a cell while the body runs; gives False where another worker that is alive holds it.

    A claim whose process is gone from this machine, or whose heart has not beaten for two minutes, is taken over.

    Args:
        folder: of the cell.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = uuid4().hex
    with _guard(folder):
        free = not held(folder)
        if free:
            _write(folder / CLAIM, own)
    if not free:
        yield False
        return
    done = threading.Event()
    beating = threading.Thread(target=_beat, args=(folder / CLAIM, own, done), daemon=True)
    beating.start()
    try:
        yield True
    finally:
        done.set()
        beating.join()
        if _read(folder / CLAIM).get("token") == own:
            (folder / CLAIM).unlink(missing_ok=True)


def held(folder: Path) -> bool:
    """Whether a worker that is alive holds the claim of a cell."""
    path = folder / CLAIM
    try:
        age = time.time() - path.stat().st_mtime
    except OSError:
        return False
    said = _read(path)
    if said.get("host") == socket.gethostname() and isinstance(said.get("pid"), int):
        return _alive(said["pid"], said.get("born"))
    return age < STALE


def _alive(pid: int, born: str | None) -> bool:
    """Whether a process of this machine runs, and is the one that wrote the claim, not a later one of its number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return born is None or _birth(pid) == born


def _birth(pid: int) -> str | None:
    """When a process began, in ticks since the machine did; None where the system does not say, or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _write(path: Path, token: str) -> None:
    content = {"token": token, "host": socket.gethostname(), "pid": os.getpid(), "born": _birth(os.getpid())}
    path.write_text(json.dumps(content), encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _beat(path: Path, token: str, done: threading.Event) -> None:
    while not done.wait(BEAT):
        if _read(path).get("token") == token:
            os.utime(path)


@contextmanager
def _guard(folder: Path) -> Iterator[None]:
    """One process at a time looks at a claim and takes it."""
    try:
        import fcntl
    except ImportError:  # Windows: creating the claim is the only guard
        yield
        return
    with open(folder / GUARD, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
