"""What the check of a set knows about each image: one pass over the files at their own resolution."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from ..files.pixels import BrokenImageError, Pixels
from ..images.hashes import content_hashes
from ..images.image_set import ImageSet
from ..images.sample import Sample
from ..images.store import Progress, attempt, threaded
from ..images.view import View, resize, to_unit
from .kept import Row, place, recall, remember

SIDE = 32  # of the thumbnail that perceptual hash and correlation are made of
_LUMA = torch.tensor([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class ImageFacts:
    """Numbers about one image.

    Args:
        sample: the image.
        content: SHA-256 of the file and frame; of the pixels for images without a file.
        pixels: SHA-256 of the decoded values, equal for one picture in two formats.
        suffix: file name ending in lower case, "" without a file.
        num_bytes: size of the file, 0 without one.
        shape: (height, width), or (depth, height, width).
        color: "grey", "rgb", or "grey as rgb" when three equal channels are stored.
        bits: stored per value.
        mean, std: of the values on [0, 1].
        padding: share of the picture in constant rows and columns at its edges.
        hash: 64-bit perceptual hash.
        thumbnail: SIDE x SIDE, mean 0 and length 1.
    """

    sample: Sample
    content: str
    pixels: str
    suffix: str
    num_bytes: int
    shape: tuple[int, ...]
    color: str
    bits: int
    mean: float
    std: float
    padding: float
    hash: int
    thumbnail: np.ndarray


def collect(images: ImageSet, progress: Progress | None = None) -> tuple[list[ImageFacts], dict[str, str]]:
    """Facts of every image that can be decoded, and image_id -> reason of the others.

    What an earlier run found of the same files is in the cache folder.
    """
    contents = content_hashes(sample.path for sample in images.samples if sample.path is not None)
    path = place(images, __name__)
    kept = recall(path) if path else None
    found, broken = _looked(images, progress) if kept is None else kept
    if path and kept is None:
        remember(path, list(found.items()), broken)
    if progress and kept is not None:
        progress(len(images), len(images))
    facts = []
    for sample in images.samples:
        if sample.image_id in found:
            row = found[sample.image_id]
            content = row["pixels"] if sample.path is None else f"{contents[sample.path]}#{sample.frame}"
            facts.append(_of_file(sample, content, row))
    return facts, broken


def _looked(images: ImageSet, progress: Progress | None) -> tuple[dict[str, Row], dict[str, str]]:
    decode = attempt(lambda sample: _facts(images.decode(sample)))
    facts: dict[str, Row] = {}
    broken = {}
    for done, (sample, found) in enumerate(zip(images.samples, threaded(decode, images.samples), strict=True), start=1):
        if isinstance(found, BrokenImageError):
            broken[sample.image_id] = str(found)
        else:
            facts[sample.image_id] = found
        if progress:
            progress(done, len(images))
    return facts, broken


def _of_file(sample: Sample, content: str, row: Row) -> ImageFacts:
    path = sample.path
    suffix, num_bytes = ("", 0) if path is None else (path.suffix.lower(), path.stat().st_size)
    fields = {**row, "shape": tuple(row["shape"])}
    return ImageFacts(sample=sample, content=content, suffix=suffix, num_bytes=num_bytes, **fields)


def _facts(pixels: Pixels) -> Row:
    """The fields of ImageFacts that its pixels decide."""
    values = pixels.values
    known = pixels.low is not None and pixels.high is not None
    unit, _ = to_unit(pixels, View() if known else View(scale="image"))
    gray = (unit * _LUMA.reshape(3, *[1] * (unit.ndim - 1))).sum(0, keepdim=True) if len(unit) == 3 else unit
    plane = gray if gray.ndim == 3 else gray[:, gray.shape[1] // 2]  # the middle plane stands for a volume
    small = resize(plane, SIDE)[0].numpy().astype(np.float64)
    same = len(values) == 3 and bool((values[0] == values[1]).all() and (values[1] == values[2]).all())
    return {
        "pixels": hashlib.sha256(f"{values.dtype.kind}{values.shape}".encode() + values.tobytes()).hexdigest(),
        "shape": tuple(values.shape[1:]),
        "color": "grey" if len(values) == 1 else "grey as rgb" if same else "rgb",
        "bits": pixels.bits,
        "mean": float(unit.mean()),
        "std": float(unit.std(correction=0)),
        "padding": _padding(plane[0].numpy()),
        "hash": perceptual_hash(small),
        "thumbnail": _normed(small).astype(np.float16),  # a correlation of two is within 1e-4
    }


def perceptual_hash(small: np.ndarray) -> int:
    """64 bits: which of the 8 x 8 lowest DCT coefficients of a square picture exceed their median.

    Small changes of size, brightness and compression flip few of them (Zauner 2010, Implementation and benchmarking of
    perceptual image hash functions).
    """
    low = (_cosines(len(small)) @ small @ _cosines(len(small)).T).ravel()
    bits = low > np.median(low[1:])  # the first one is the mean brightness
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


@lru_cache(maxsize=4)
def _cosines(size: int) -> np.ndarray:
    """The first 8 rows of the DCT-II matrix."""
    k, n = np.arange(8)[:, None], np.arange(size)[None]
    return np.asarray(np.cos(np.pi * k * (2 * n + 1) / (2 * size)))


def _normed(small: np.ndarray) -> np.ndarray:
    centered = (small - small.mean()).ravel()
    length = float(np.linalg.norm(centered))
    return centered / length if length > 1e-9 else centered * 0


def _padding(plane: np.ndarray) -> float:
    rows, columns = np.ptp(plane, axis=1) < 1e-6, np.ptp(plane, axis=0) < 1e-6
    if rows.all() or columns.all():
        return 1.0
    height, width = (len(line) - _run(line) - _run(line[::-1]) for line in (rows, columns))
    return 1 - height * width / plane.size


def _run(line: Iterable[bool]) -> int:
    """How many of the first values are true."""
    count = 0
    for value in line:
        if not value:
            break
        count += 1
    return count
