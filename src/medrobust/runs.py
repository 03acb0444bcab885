"""A run directory: what belongs to it, and whether a stopped run may go on in it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from .errors import UserError
from .files import read_json, unfinished, write_json
from .version import __version__

RUN_FILE = "run.json"
TEXTS = ("schema", "kind", "status", "started", "command", "commit")  # of run.json, always there
RUN_SCHEMA, AUDIT_SCHEMA = "medrobust.run/1", "medrobust.audit/1"


def digest(content: Any) -> str:
    """Hex SHA-256 of plain data, whatever the order of its keys.

    Example:
        >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
        True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of the packages that decide the numbers."""
    names = ("torch", "torchvision", "numpy", "monai", "scikit-learn", "scipy")
    found = {"medrobust": __version__, "python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit of the source tree that runs; "" when it is an installed package."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        done = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def hardware(device: str = "cpu") -> str:
    """Processor or graphics card, cores, and system."""
    import torch

    if device.startswith("cuda") and torch.cuda.is_available():
        return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    name = name or platform.processor() or platform.machine()  # processor() starts a program
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


def command() -> str:
    """The command as it was typed, without the folder of the program."""
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    return " ".join(word if word and not set(word) & set(" '\"*()[]{}$&;<>|") else f"'{word}'" for word in words)


def look(
    folder: Path, kind: str, identity: Mapping[str, str], details: Mapping[str, Any]
) -> tuple[dict[str, Any], bool]:
    """What run.json of a run in this folder says, or would say; and whether it is there. Nothing is written.

    Args:
        folder: the output folder.
        kind: "audit" or "train".
        identity: hashes that must be equal to go on: of recipe, model, data, code version.
        details: what else run.json says, for a new run.

    Errors: UserError when the folder holds another run, or something that is not a run, or cannot be written.
    """
    path = folder / RUN_FILE
    if path.exists():
        run = read_json(path)
        found = run.get("identity") if isinstance(run, dict) else None
        texts = isinstance(run, dict) and all(isinstance(run.get(key), str) for key in TEXTS)
        if not texts or not isinstance(found, dict) or not isinstance(run.get("versions"), dict):
            raise UserError(str(path), "is not what medrobust writes", "choose another --out, or remove the folder")
        different = [name for name in identity if found.get(name) != identity[name]]
        if run["kind"] != kind or different:
            what = f"of another {', '.join(different)}" if run["kind"] == kind else f"of kind {run['kind']!r}"
            raise UserError(str(folder), f"holds a run {what}", "choose another --out, or remove the folder")
        return run, True
    # A run killed while it wrote its first file leaves a temporary file.
    if folder.exists() and (not folder.is_dir() or set(folder.iterdir()) - set(unfinished(folder))):
        raise UserError(str(folder), "is not empty and not a run of medrobust", "choose another --out")
    near = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not near.is_dir() or not os.access(near, os.W_OK | os.X_OK):
        reason = f"{near} is not a folder" if not near.is_dir() else f"{near} cannot be written"
        raise UserError(str(folder), reason, "choose another --out")
    run = {
        "schema": RUN_SCHEMA,
        "kind": kind,
        "status": "running",
        "identity": dict(identity),
        "started": now(),
        "finished": None,
        "command": command(),
        "commit": commit(),
        "versions": versions(),
        **details,
    }
    return run, False


def begin(folder: Path, run: Mapping[str, Any]) -> None:
    """Write run.json of a new run: from here on the folder is its own, and the same command goes on in it.

    Called when something of the run has succeeded, so that what fails at once leaves nothing.

    Errors: UserError, as look, when another run has begun there in the meantime.
    """
    if not look(folder, run["kind"], run["identity"], {})[1]:
        write_json(folder / RUN_FILE, run)


def read_run(folder: Path) -> dict[str, Any]:
    """The run.json of a run. Errors: UserError when there is none."""
    return dict(read_json(folder / RUN_FILE))


def finish(folder: Path, run: Mapping[str, Any], **details: Any) -> dict[str, Any]:
    """Mark a run as done in its run.json, and return the new content."""
    return record(folder, run, status="done", finished=run.get("finished") or now(), **details)


def record(folder: Path, run: Mapping[str, Any], **details: Any) -> dict[str, Any]:
    """Put details into the run.json of a run, and return the new content."""
    run = {**run, **details}
    write_json(folder / RUN_FILE, run)
    return run
