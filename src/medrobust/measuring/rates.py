"""What the stopwatch found, kept for the next run of the same model on the same machine."""

from __future__ import annotations

from pathlib import Path

from ..data.images.hashes import cache_root
from ..errors import UserError
from ..files import read_json, write_json

MOST = 200  # entries of the file; the oldest go first
_known: dict[str, tuple[str, dict[str, float]]] = {}


def recall(key: str) -> tuple[str, dict[str, float]] | None:
    """The copy and the rates that were remembered for a key, in this process or in the cache folder."""
    if key not in _known:
        entry = _kept().get(key)
        if isinstance(entry, dict) and isinstance(entry.get("kind"), str) and isinstance(entry.get("rates"), dict):
            _known[key] = entry["kind"], entry["rates"]
    return _known.get(key)


def remember(key: str, kind: str, rates: dict[str, float]) -> None:
    """Keep what was found, in this process, and in the cache folder where there is one that can be written."""
    _known[key] = kind, rates
    path = _path()
    if path is None:
        return
    kept = _kept()
    kept.pop(key, None)
    kept[key] = {"kind": kind, "rates": {name: round(rate, 1) for name, rate in rates.items()}}
    try:
        write_json(path, dict(list(kept.items())[-MOST:]))
    except UserError:  # a folder that cannot be written only costs the time of another measurement
        return


def _path() -> Path | None:
    root = cache_root()
    return None if root is None else root / "rates.json"


def _kept() -> dict[str, object]:
    path = _path()
    if path is None or not path.exists():
        return {}
    try:
        content = read_json(path)
    except UserError:
        return {}
    return content if isinstance(content, dict) else {}
