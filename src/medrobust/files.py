"""Files that are either whole or absent: temporary file, fsync, rename."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import UserError


def write_with(path: Path | str, write: Callable[[Path], Any]) -> None:
    """Let write(temporary_path) fill a file, then put it in place of path in one step.

    A crash leaves the old file or none, never half of one.

    Errors: UserError when the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(str(path), f"cannot be written: {reason}", "free space or choose another --out") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def unfinished(folder: Path) -> list[Path]:
    """The temporary files that killed processes left in a folder."""
    return [path for path in folder.glob(".*.tmp") if path.is_file()]


def write_atomic(path: Path | str, content: bytes | str) -> None:
    """Write bytes or text so that path is never half-written."""
    data = content.encode() if isinstance(content, str) else content
    write_with(path, lambda temporary: temporary.write_bytes(data))


def write_json(path: Path | str, content: Any) -> None:
    """Write JSON with its keys in the order given and a final newline; ValueError for NaN, which is not JSON."""
    write_atomic(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read JSON. Errors: UserError when the file is missing or is not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(str(path), "no such file") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(str(path), f"cannot be read as JSON: {error}") from error


def sha256_file(path: Path | str) -> str:
    """Hex SHA-256 of a file's content, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)


def _digest(file: Any) -> str:
    digest = hashlib.sha256()
    for block in iter(lambda: file.read(1 << 20), b""):
        digest.update(block)
    return digest.hexdigest()
