"""Viewed images in one memory-mapped file, keyed by the content of the sources, the view and what decodes them.

A cache is a folder: pixels.bin (the values, one image after the other), index.npy (offset, shape, CRC-32 and source
range of each image) and meta.json, written last. It is made in a temporary folder and renamed, so it is whole or
absent, and processes may share it. Damage is found by size, by the SHA-256 of the index and by the CRC of an image at
its first use. What older code or another version of a decoder has decoded has another name and is not found.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pickle
import shutil
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from ...files import sha256_file, write_json
from ..files.pixels import BrokenImageError, SourceRange
from .hashes import cache_root, content_hashes
from .sample import Sample
from .store import Decode, MemoryStore, Progress, Store, Stored, attempt, threaded
from .view import View, apply_view

VERSION = 2
SMALL = 64  # sets below this size are decoded in memory: nothing is gained by a file
_RANGE = ("bits", "low", "high", "step", "origin", "inverted", "unit")
_ROW = np.dtype("i8, 4i4, u1, u1, u4, u1, f8, f8, f8, f8, ?, i4")
_ROW.names = ("offset", "shape", "ndim", "itemsize", "crc", *_RANGE)
_DTYPES: dict[int, Any] = {1: np.uint8, 2: np.uint16, 4: np.float32}
_LIBRARIES = (
    "pillow", "pydicom", "nibabel", "pylibjpeg", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pyjpegls", "python-gdcm",
)  # fmt: skip


def open_store(
    samples: Sequence[Sample], decode: Decode, view: View, progress: Progress | None = None
) -> tuple[Store, dict[str, str]]:
    """A store that holds every image, decoded now or by an earlier run, and image_id -> reason of the broken ones.

    Small sets and sets without files are kept in memory, and so is every set with MEDROBUST_CACHE=off.

    Errors: UserError when the cache folder cannot be written.
    """
    directory = cache_folder(samples, decode, view)
    if directory is None:
        return _in_memory(samples, decode, view, progress)
    with _lock(directory):
        store = _valid(directory, samples, decode, view)
        if store is None:
            shutil.rmtree(directory, ignore_errors=True)
            _build(directory, samples, decode, view, progress)
            store = CachedStore(directory, samples, decode, view)
    return store, store.faults


def cache_folder(samples: Sequence[Sample], decode: Decode, view: View, kind: str = "") -> Path | None:
    """The folder for what is made of these images, named by their content, the view and what decodes them.

    None where there are few images, where some have no file, and where there is no cache.

    Errors: UserError when the cache folder cannot be written.
    """
    root = cache_root()
    if root is None or len(samples) < SMALL or any(sample.path is None for sample in samples) or not _writable(root):
        return None
    return root / "images" / (_key(samples, decode, view) + kind)


def _in_memory(
    samples: Sequence[Sample], decode: Decode, view: View, progress: Progress | None
) -> tuple[Store, dict[str, str]]:
    store = MemoryStore(decode, view)
    faults = {}
    for done, (sample, result) in enumerate(zip(samples, threaded(attempt(store.get), samples), strict=True), start=1):
        if isinstance(result, BrokenImageError):
            faults[sample.image_id] = str(result)
        if progress:
            progress(done, len(samples))
    return store, faults


class CachedStore:
    """Images from a cache folder; a damaged one is decoded again and mended in place."""

    def __init__(self, directory: Path, samples: Sequence[Sample], decode: Decode, view: View) -> None:
        self._directory, self._decode, self._view = directory, decode, view
        meta = json.loads((directory / "meta.json").read_text())
        self.faults: dict[str, str] = meta["faults"]
        self._units: list[str] = meta["units"]
        self._index = np.load(directory / "index.npy", allow_pickle=False)
        self._rows = {sample.image_id: row for row, sample in enumerate(samples)}
        self._checked = bytearray(len(samples))
        self._pixels: np.memmap[Any, np.dtype[np.uint8]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_pixels": None}  # a worker maps the file itself

    def get(self, sample: Sample) -> Stored:
        """The viewed image. Errors: BrokenImageError."""
        row = self._rows.get(sample.image_id)
        if row is None or sample.image_id in self.faults:
            return Stored(*apply_view(self._decode(sample), self._view))
        record = self._index[row]
        shape = tuple(record["shape"][: record["ndim"]].tolist())
        start, size = int(record["offset"]), int(np.prod(shape)) * int(record["itemsize"])
        block = self._mapped()[start : start + size]
        bits, low, high, step, offset, inverted, unit = (record[name].item() for name in _RANGE)
        source = SourceRange(bits, low, high, self._units[unit], step or None, offset, inverted)
        if not self._checked[row]:
            if zlib.crc32(block.tobytes()) != record["crc"]:
                return self._mend(row, sample)
            self._checked[row] = 1
        return Stored(block.view(_DTYPES[int(record["itemsize"])]).reshape(shape), source)

    def _mapped(self) -> np.memmap[Any, np.dtype[np.uint8]]:
        if self._pixels is None:
            self._pixels = np.memmap(self._directory / "pixels.bin", dtype=np.uint8, mode="r")
        return self._pixels

    def _mend(self, row: int, sample: Sample) -> Stored:
        stored = Stored(*apply_view(self._decode(sample), self._view))
        content = stored.values.tobytes()
        if zlib.crc32(content) == self._index[row]["crc"]:  # else the source has changed since: the next run rebuilds
            with open(self._directory / "pixels.bin", "r+b") as file:
                file.seek(int(self._index[row]["offset"]))
                file.write(content)
        return stored


def _key(samples: Sequence[Sample], decode: Decode, view: View) -> str:
    contents = content_hashes(sample.path for sample in samples if sample.path is not None)
    module = str(getattr(decode, "__module__", ""))  # of a function, or of the class of an object
    head = [VERSION, decoding_version(module), dataclasses.asdict(view)]
    digest = hashlib.sha256(json.dumps(head).encode() + pickle.dumps(decode, protocol=4))
    for sample in samples:
        assert sample.path is not None
        row = [sample.image_id, sample.frame, contents[sample.path], sample.metadata]
        digest.update(json.dumps(row, sort_keys=True).encode())
    return digest.hexdigest()[:40]


@lru_cache(maxsize=64)
def decoding_version(module: str) -> str:
    """SHA-256 of the code that decodes, of the module of a decode function, and of the versions of the decoders."""
    here = Path(__file__).parents[1]
    files = [*sorted(here.glob("files/*.py")), *sorted(here.glob("sets/*.py")), here / "images" / "view.py"]
    own = getattr(sys.modules.get(module), "__file__", None)
    digest = hashlib.sha256()
    for file in [*files, *([Path(own)] if own else [])]:
        digest.update(file.read_bytes() if file.is_file() else b"")
    for library in _LIBRARIES:
        with suppress(PackageNotFoundError):
            digest.update(f"{library} {version(library)}".encode())
    return digest.hexdigest()


def _valid(directory: Path, samples: Sequence[Sample], decode: Decode, view: View) -> CachedStore | None:
    """The store when the folder is complete and undamaged, as far as its size and index tell."""
    try:
        meta = json.loads((directory / "meta.json").read_text())
        whole = (
            meta["version"] == VERSION
            and meta["count"] == len(samples)
            and (directory / "pixels.bin").stat().st_size == meta["bytes"]
            and sha256_file(directory / "index.npy") == meta["index_sha256"]
        )
        return CachedStore(directory, samples, decode, view) if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _build(directory: Path, samples: Sequence[Sample], decode: Decode, view: View, progress: Progress | None) -> None:
    for left in directory.parent.glob(f"{directory.name}.tmp-*"):  # of a process that was killed: we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    temporary = directory.with_name(f"{directory.name}.tmp-{os.getpid()}")
    try:
        temporary.mkdir(parents=True)
        _fill(temporary, samples, decode, view, progress)
        os.rename(temporary, directory)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            str(directory.parent),
            f"cannot be written: {reason}",
            "free space, or set MEDROBUST_CACHE to a folder or off",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fill(folder: Path, samples: Sequence[Sample], decode: Decode, view: View, progress: Progress | None) -> None:
    index = np.zeros(len(samples), dtype=_ROW)
    faults: dict[str, str] = {}
    units: list[str] = []
    results = threaded(attempt(lambda sample: apply_view(decode(sample), view)), samples)
    with open(folder / "pixels.bin", "wb") as file:
        for row, (sample, result) in enumerate(zip(samples, results, strict=True)):
            if isinstance(result, BrokenImageError):
                faults[sample.image_id] = str(result)
            else:
                values, source = result
                if source.unit not in units:
                    units.append(source.unit)
                shape = (*values.shape, *[0] * (4 - values.ndim))
                head = (file.tell(), shape, values.ndim, values.itemsize, zlib.crc32(values.tobytes()))
                ends = (source.bits, source.low, source.high)
                grid = (source.step or 0.0, source.offset, source.inverted)
                index[row] = (*head, *ends, *grid, units.index(source.unit))
                file.write(values.tobytes())
                file.write(b"\0" * (-file.tell() % 64))
            if progress:
                progress(row + 1, len(samples))
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
    np.save(folder / "index.npy", index)
    meta = {"version": VERSION, "count": len(samples), "bytes": size, "index_sha256": sha256_file(folder / "index.npy")}
    write_json(folder / "meta.json", meta | {"units": units, "faults": faults, "view": dataclasses.asdict(view)})


def _writable(root: Path) -> bool:
    """False where the default folder cannot be made, as in a read-only home; a folder that was asked for must work."""
    try:
        (root / "images").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if "MEDROBUST_CACHE" in os.environ:
            raise UserError(
                str(root), f"cannot be made: {error.strerror}", "set MEDROBUST_CACHE to a folder or off"
            ) from error
        return False
    return os.access(root / "images", os.W_OK)


@contextmanager
def _lock(directory: Path) -> Iterator[None]:
    """One builder at a time; the others wait and then find the cache. Without fcntl the rename alone protects it."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(directory.with_name(f"{directory.name}.lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cache_size() -> tuple[int, int]:
    """Number of caches and their bytes."""
    root = cache_root()
    folders = [path for path in (root / "images").glob("*") if path.is_dir()] if root else []
    return len(folders), sum(file.stat().st_size for folder in folders for file in folder.iterdir())


def clear_cache() -> tuple[int, int]:
    """Remove all cached images; returns what cache_size() said before."""
    size, root = cache_size(), cache_root()
    if root:
        shutil.rmtree(root / "images", ignore_errors=True)
    return size
