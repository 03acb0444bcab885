"""CIFAR-10, the binary version or a tree of image folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import UserError
from ..files.pixels import Pixels
from ..images.card import DatasetCard
from ..images.image_set import ImageSet
from ..images.sample import Sample
from .array_files import mapped
from .folder import class_samples, require_folder, split_folders

CARD = DatasetCard(
    name="cifar10",
    title="Natural images, 50,000 + 10,000 of 32x32 in 10 classes",
    paper="Krizhevsky 2009, Learning multiple layers of features from tiny images (technical report)",
    license="not stated by the source",
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    positive_class=None,
    group="",
    layout="cifar-10-batches-bin/{data_batch_{1..5},test_batch}.bin, or {train,test}/CLASS/*.png",
)

_RECORD = 1 + 3 * 32 * 32  # label, then red, green and blue planes


def open_cifar10(path: str) -> ImageSet:
    """Open the binary version or class folders; the pickled Python version is refused.

    Errors: UserError when files are missing or have a wrong length or label.
    """
    root = require_folder(path, CARD.name)
    if set(split_folders(root)) >= {"train", "test"}:
        classes, samples = class_samples(root, classes=CARD.classes)
        return ImageSet(CARD.name, classes, samples, card=CARD)
    inner = root / "cifar-10-batches-bin"
    root = inner if inner.is_dir() else root
    if (root / "data_batch_1").exists() or (root / "cifar-10-batches-py").is_dir():
        fix = "download the binary version, cifar-10-binary.tar.gz, or make class folders"
        raise UserError(str(root), "this is the pickled Python version, which could run any code", fix)
    samples = []
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        split = "test" if name == "test_batch" else "train"
        for k, label in enumerate(_records(root / f"{name}.bin")[:, 0].tolist()):
            if label > 9:
                raise UserError(str(root / f"{name}.bin"), f"the label {label} of image {k} is not one of 0 to 9")
            image_id = f"{name}/{k:05d}"
            samples.append(Sample(image_id, root / f"{name}.bin", label, image_id, split, frame=k))
    return ImageSet(CARD.name, CARD.classes, samples, card=CARD, decode=decode_record)


def decode_record(sample: Sample) -> Pixels:
    """Record `frame` of a binary batch."""
    assert sample.path is not None
    return Pixels(np.array(_records(sample.path)[sample.frame, 1:]).reshape(3, 32, 32))


def _records(path: Path) -> np.ndarray:
    if not path.exists():
        raise UserError(str(path), "no such file", "download cifar-10-binary.tar.gz or make {train,test}/CLASS folders")
    size = path.stat().st_size
    if size == 0 or size % _RECORD:
        raise UserError(
            str(path), f"{size} bytes are not a whole number of {_RECORD}-byte records", "download it again"
        )
    return mapped(path, 0, (size // _RECORD, _RECORD))
