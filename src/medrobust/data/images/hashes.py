"""SHA-256 of files, remembered until a file changes, so that large sets are hashed once."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path

from ...files import sha256_file

MISSING = "missing"
_TABLE = "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, state TEXT, sha256 TEXT)"


def cache_root() -> Path | None:
    """Folder for what can be made again: $MEDROBUST_CACHE, else ~/.cache/medrobust; None for MEDROBUST_CACHE=off."""
    chosen = os.environ.get("MEDROBUST_CACHE")
    if chosen is not None:
        return None if chosen.lower() in ("off", "0", "") else Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "medrobust"


def content_hashes(paths: Iterable[Path]) -> dict[Path, str]:
    """path -> SHA-256 hex of its content, "missing" where there is no file.

    A file whose size, change time, modification time and inode are as they were is not read again.
    """
    states = {path: file_state(path) for path in dict.fromkeys(paths)}
    root = cache_root()
    known = _recall(root / "hashes.sqlite", states) if root else {}
    unread = [path for path in states if path not in known]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        fresh = dict(zip(unread, pool.map(_hash, unread), strict=True))
    if root and fresh:
        _remember(root / "hashes.sqlite", {path: (states[path], digest) for path, digest in fresh.items()})
    return known | fresh


def _hash(path: Path) -> str:
    try:
        return sha256_file(path) if path.is_file() else MISSING  # a pipe or a device may have no end
    except OSError:
        return MISSING


def file_state(path: Path) -> str:
    """What changes when a file does: size, modification time, change time and inode."""
    try:
        stat = path.stat()
    except OSError:
        return MISSING
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"


def _recall(database: Path, states: dict[Path, str]) -> dict[Path, str]:
    if not database.exists():
        return {}
    known: dict[Path, str] = {}
    try:
        with closing(sqlite3.connect(database, timeout=60)) as connection:
            for chunk in _chunks(states, 500):
                places = {os.path.abspath(path): path for path in chunk}
                marks = ",".join("?" * len(places))
                rows = connection.execute(f"SELECT path, state, sha256 FROM files WHERE path IN ({marks})", [*places])
                for place, state, digest in rows:
                    if states[places[place]] == state != MISSING:
                        known[places[place]] = digest
    except sqlite3.DatabaseError:
        database.unlink(missing_ok=True)
        return {}
    return known


def _remember(database: Path, rows: dict[Path, tuple[str, str]]) -> None:
    """Best effort: without it the files are read again."""
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
            connection.execute(_TABLE)
            values = [(os.path.abspath(path), state, digest) for path, (state, digest) in rows.items()]
            connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", values)
    except (OSError, sqlite3.DatabaseError):
        return


def _chunks(items: Iterable[Path], size: int) -> Iterator[list[Path]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
