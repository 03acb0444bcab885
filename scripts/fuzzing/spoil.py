"""Ways to spoil a file, its name, a table or a tree of values."""

from __future__ import annotations

import copy
import json
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

NASTY = [
    "", " ", "NaN", "inf", "-1", "0", "1e999", "9" * 400, "null", "true", "[]", "{}", "=1+1", "../../../etc/passwd",
    "/etc/passwd", "..", ".", "a" * 5000, "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\x00",
    "\x1b[2J", "\u202egnp", "\U0001f600", "\u65e5\u672c", "a\nb", "a\rb", "a,b", '"', "'", "%s%n", "${HOME}", "~", "*",
    "(" * 300, "&lt;b&gt;", "\ufeff", "-0.0", "1,5", "0x10", "2020-01-01", "!!python/object/apply:os.system [id]",
    "key=value", "\ud83d",
]  # fmt: skip
NAMES = [
    "<script>alert(1)<script>.png", "<img src=x onerror=alert(1)>.png", "a\nb.png", "a\x1b[2Jb.png", "..png", "...",
    "n" * 250, "-rf.png", "a=b+c.png", "\u65e5\u672c.png", "\u202egnp.exe.png", " .png", "a'b\"c.png", "%2e%2e.png",
    "a,b.png", "a;b.png", "a\tb.png", "con.png", "\udce9.png", "a\u0000b".replace("\x00", "_"), "&amp;.png",
]  # fmt: skip
VALUES: list[Any] = [None, True, -1, 0, 1e308, 10**30, float("nan"), "", "x", [], {}, [[[]]], {"a": None}, [0] * 1000]


def bytes_of(rng: random.Random, content: bytes) -> bytes:
    """The content after one to four random changes."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        way = rng.randrange(8)
        at, length = rng.randrange(len(data) + 1), rng.choice((1, 2, 4, 16, 64, 256))
        if way == 0 and data:
            for _ in range(rng.choice((1, 4, 32))):
                data[rng.randrange(len(data))] = rng.randrange(256)
        elif way == 1:
            del data[at:]
        elif way == 2:
            del data[at : at + length]
        elif way == 3:
            data[at:at] = rng.randbytes(length)
        elif way == 4:
            data[at : at + length] = bytes([rng.choice((0, 255))]) * min(length, len(data) - at)
        elif way == 5:
            data[at:at] = data[at : at + length] * rng.choice((1, 20))
        elif way == 6 and data:  # headers are where sizes and types stand
            at = rng.randrange(min(len(data), 128))
            data[at] ^= 1 << rng.randrange(8)
        elif way == 7:
            data[at : at + 4] = rng.choice((b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x80", b"\0\0\0\0"))
    return bytes(data)


def text_of(rng: random.Random, text: str, separators: str = ",") -> bytes:
    """A table or a page of YAML after one to three random changes, in some encoding."""
    lines = text.split("\n")
    for _ in range(rng.choice((1, 1, 3))):
        at = rng.randrange(len(lines))
        way = rng.randrange(7)
        if way <= 2:
            cells = lines[at].split(separators)
            cells[rng.randrange(len(cells))] = rng.choice(NASTY)
            lines[at] = separators.join(cells)
        elif way == 3:
            lines.insert(at, lines[rng.randrange(len(lines))])
        elif way == 4 and len(lines) > 1:
            del lines[at]
        elif way == 5:
            lines[at] += separators + rng.choice(NASTY)
        elif way == 6:
            lines[at] = lines[at].upper() if rng.random() < 0.5 else lines[at].replace(separators, ";")
    end = rng.choice(("\n", "\n", "\n", "\r\n", "\r"))
    encoding = rng.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1", "utf-32"))
    return end.join(lines).encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")


def places(tree: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to every value in nested lists and dicts."""
    found = [here] if here else []
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        found += places(value, (*here, key))
    return found


def tree_of(rng: random.Random, tree: Any) -> Any:
    """Nested values with one to three of them replaced, dropped or put under another key."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 3))):
        known = places(tree)
        if not known:
            return rng.choice(VALUES)
        *above, last = rng.choice(known)
        node = tree
        for key in above:
            node = node[key]
        way = rng.randrange(6)
        if way == 0:
            del node[last]
        elif way == 1 and isinstance(node, dict):
            node[rng.choice(NASTY)] = node.pop(last)
        elif way in (2, 3):
            node[last] = rng.choice(NASTY)
        elif way == 4:
            deep: Any = "x"
            for _ in range(rng.choice((50, 2000))):
                deep = [deep]
            node[last] = deep if rng.random() < 0.2 else [node[last]]
        else:
            node[last] = copy.deepcopy(rng.choice(VALUES))  # not itself, into which more may be put
    return tree


def arrays_of(rng: random.Random, arrays: dict[str, Any]) -> dict[str, Any]:
    """Arrays of which one has another type, shape, length or name, or values that nobody expects."""
    import numpy as np

    name = rng.choice(sorted(arrays))
    one = arrays[name]
    ways: list[Callable[[], Any]] = [
        lambda: one.astype(rng.choice(("f2", "f8", "i8", ">u2", "c16", "?", "S3", "U3", "M8[s]", "V4"))),
        lambda: np.where(one > one.min(), rng.choice((float("nan"), float("inf"), -1.0, 0.5, 1e300)), one),
        lambda: one[: rng.choice((0, 1, len(one) - 1))],
        lambda: one.reshape(-1),
        lambda: one[None],
        lambda: np.repeat(one[..., None], rng.choice((2, 3, 4)), axis=-1),
        lambda: np.array(rng.choice((0, 3.5, "text"))),
        lambda: one + rng.choice((1, 100)),
        lambda: one.astype(object),
        lambda: np.zeros((0, *one.shape[1:]), one.dtype),
    ]
    changed = {**arrays, name: rng.choice(ways)()}
    if rng.random() < 0.2:
        changed[rng.choice(NASTY).replace("\x00", "").encode("utf-8", "replace").decode()[:40]] = changed.pop(name)
    return changed


def json_of(rng: random.Random, content: bytes) -> bytes:
    """A JSON file, spoiled as a tree or as bytes."""
    if rng.random() < 0.25:
        return bytes_of(rng, content)
    try:
        return json.dumps(tree_of(rng, json.loads(content)), ensure_ascii=rng.random() < 0.5).encode(
            "utf-8", "surrogatepass"
        )
    except (RecursionError, ValueError):
        return content[: len(content) // 2]


def picture_bomb(path: Path, side: int = 60000) -> None:
    """A PNG of side x side pixels in a few hundred kilobytes."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, packed = zlib.compressobj(9), b""
    for _ in range(200):
        packed += packer.compress(bytes(1 << 20))
    packed += packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", packed) + chunk(b"IEND", b""))


def npz_bomb(path: Path, gigabytes: int = 6) -> None:
    """An array of zeros in a ZIP, packed a thousand times."""
    count = gigabytes << 30
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name in ("train_images", "train_labels", "image"):
            with file.open(f"{name}.npy", "w", force_zip64=True) as out:
                head = (
                    f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({count // 256}, 16, 16), }}".ljust(117) + "\n"
                )
                out.write(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode())
                for _ in range(64):  # claims more than it holds
                    out.write(bytes(1 << 20))


def gzip_bomb(path: Path) -> None:
    """A NIfTI header that claims a large volume, followed by packed zeros."""
    import gzip

    import nibabel
    import numpy as np

    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4))
    image.header["dim"][1:4] = 4000, 4000, 200
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(image.header.binaryblock + bytes(4))
        for _ in range(200):
            file.write(bytes(1 << 20))


def special(path: Path, rng: random.Random) -> None:
    """A link or a file of another kind in place of path."""
    path.unlink(missing_ok=True)
    ways: list[Callable[[], object]] = [
        lambda: os.symlink("/etc/passwd", path),
        lambda: os.symlink("/etc", path),
        lambda: os.symlink(path.name, path),
        lambda: os.symlink("..", path),
        lambda: os.symlink("/nowhere/at/all", path),
        lambda: os.symlink("/dev/zero", path),
        lambda: os.mkfifo(path),
        lambda: path.mkdir(),
        lambda: path.write_bytes(b""),
        lambda: os.symlink("/proc/self/mem", path),
    ]
    rng.choice(ways)()


def alias_bomb(rng: random.Random) -> str:
    """YAML of a few lines whose aliases stand for 9^10 values, at a key of a recipe."""
    key = rng.choice(("attacks", "seed", "threat", "data", "model", "batch_size"))
    lines = [f"{key}:", "  - &a0 [x, x, x, x, x, x, x, x, x]"]
    return "\n".join([*lines, *(f"  - &a{k + 1} [{', '.join([f'*a{k}'] * 9)}]" for k in range(9))])
