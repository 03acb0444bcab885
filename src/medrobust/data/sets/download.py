"""Files from the network: resumed where a download broke off, checked by size and checksum, whole or absent."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

from ...errors import UserError
from ..images.store import Progress

_BLOCK = 1 << 20


def download(
    url: str,
    path: Path | str,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    size: int | None = None,
    progress: Progress | None = None,
    timeout: float = 60.0,
) -> Path:
    """Fetch url to path; a file that is there and has the right checksum is not fetched again.

    The bytes so far stay in path.part, and the next call asks the server for the rest. A wrong checksum after a resume
    starts once more from the beginning, for the file may have changed on the server.

    Args:
        url: http, https or file address.
        path: where the file goes, in one step when it is complete.
        md5, sha256: checksum in hex; the first one given is used.
        size: bytes expected; the server's own figure is checked in any case.
        progress: called with (bytes so far, bytes in all).
        timeout: seconds without an answer.

    Errors: UserError for an unreachable address, a refused request, a wrong size or checksum.
    """
    path = Path(path)
    kind, expected = ("sha256", sha256) if sha256 else ("md5", md5)
    if path.exists() and (expected is None or _checksum(path, kind) == expected):
        return path
    part = path.with_name(path.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        resumed = part.exists() and part.stat().st_size > 0
        _fetch(url, part, size, progress, timeout)
        if expected and _checksum(part, kind) != expected and resumed:
            part.unlink()
            _fetch(url, part, size, progress, timeout)
    except (HTTPException, OSError) as error:
        raise UserError(
            url, f"cannot be downloaded: {_reason(error)}", f"run again to go on, or save it as {path}"
        ) from error
    if expected and (found := _checksum(part, kind)) != expected:
        part.unlink()
        raise UserError(
            url, f"has the {kind} {found}, not {expected}", "run again, or get the file from its source by hand"
        )
    os.replace(part, path)
    return path


def _fetch(url: str, part: Path, size: int | None, progress: Progress | None, timeout: float) -> None:
    """Append to part what it lacks. Errors: OSError, also when fewer bytes came than announced."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "medrobust", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            if start and answer.status != 206:
                start = 0  # the server sends everything again
            total = _total(answer, start, size)
            with open(part, "ab" if start else "wb") as file:
                while block := answer.read(_BLOCK):
                    file.write(block)
                    start += len(block)
                    if progress and total:
                        progress(start, total)
                file.flush()
                os.fsync(file.fileno())
    except urllib.error.HTTPError as error:
        if error.code != 416:  # 416: nothing is left to send
            raise
        total = size
        error.close()
    if total is not None and start != total:
        if start > total:
            part.unlink()
        raise OSError(f"{start} of {total} bytes came")


def _total(answer: Any, start: int, size: int | None) -> int | None:
    length = answer.headers.get("Content-Length")
    announced = start + int(length) if length else None
    if size is not None and announced is not None and announced != size:
        raise OSError(f"the server has {announced} bytes, not {size}")
    return announced if announced is not None else size


def _checksum(path: Path, kind: str) -> str:
    digest = hashlib.new(kind, usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__
