"""MNIST and its drop-in relatives (Fashion-MNIST, KMNIST) as idx files."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from ...errors import UserError
from ..files.kinds import refuse_pointer
from ..files.pixels import BrokenImageError, Pixels
from ..images.card import DatasetCard
from ..images.image_set import ImageSet
from ..images.sample import Sample
from .array_files import per_version
from .folder import require_folder

CARD = DatasetCard(
    name="mnist",
    title="Handwritten digits, 60,000 + 10,000 images of 28x28; Fashion-MNIST and KMNIST have the same files",
    paper="LeCun et al. 1998, Gradient-based learning applied to document recognition, doi:10.1109/5.726791",
    license="CC BY-SA 3.0",
    classes=tuple("0123456789"),
    positive_class=None,
    group="",
    layout="{train,t10k}-images-idx3-ubyte[.gz] and {train,t10k}-labels-idx1-ubyte[.gz], also in MNIST/raw/",
)

_FILES = {"train": "train", "test": "t10k"}


def open_mnist(path: str) -> ImageSet:
    """Open the four idx files. Errors: UserError when one is missing, truncated or not idx, or the counts differ."""
    root = require_folder(path, CARD.name)
    samples = []
    for split, prefix in _FILES.items():
        images = _find(root, f"{prefix}-images", "idx3-ubyte")
        pixels, labels = read_idx(images, 3), read_idx(_find(root, f"{prefix}-labels", "idx1-ubyte"), 1)
        if len(pixels) != len(labels):
            raise UserError(str(images), f"{len(pixels)} images and {len(labels)} labels", "download the files again")
        if labels.max(initial=0) > 9:
            raise UserError(str(images), f"the label {labels.max()} is not one of 0 to 9")
        for k, label in enumerate(labels.tolist()):
            image_id = f"{split}/{k:05d}"
            samples.append(Sample(image_id, images, label, image_id, split, frame=k))
    return ImageSet(CARD.name, CARD.classes, samples, card=CARD, decode=decode_idx_row)


def decode_idx_row(sample: Sample) -> Pixels:
    """Image `frame` of an idx file."""
    assert sample.path is not None
    return Pixels(read_idx(sample.path, 3)[sample.frame][None])


@per_version
def read_idx(path: Path, ndim: int) -> np.ndarray:
    """Unsigned bytes of an idx file: magic 0x0000 08 ndim, ndim sizes as big-endian 32 bits, then the values."""
    try:
        content = path.read_bytes()
        refuse_pointer(content)
        content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except (OSError, EOFError, zlib.error, BrokenImageError) as error:
        raise UserError(str(path), f"cannot be read: {error}", "download it again") from error
    head = 4 + 4 * ndim
    if len(content) < head or content[:4] != bytes((0, 0, 8, ndim)):
        raise UserError(str(path), f"is not an idx file of bytes with {ndim} dimensions", "download it again")
    shape = struct.unpack(f">{ndim}I", content[4:head])
    if len(content) != head + math.prod(shape):
        raise UserError(
            str(path), f"is truncated: {len(content)} bytes, not {head + math.prod(shape)}", "download it again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=head).reshape(shape)


def _find(root: Path, prefix: str, kind: str) -> Path:
    for folder in (root, root / "raw", root / "MNIST" / "raw"):
        for name in (f"{prefix}-{kind}", f"{prefix}.{kind}", f"{prefix}-{kind}.gz", f"{prefix}.{kind}.gz"):
            if (folder / name).exists():
                return folder / name
    raise UserError(str(root), f"no {prefix}-{kind} in it", "download the four idx files of the data set")
