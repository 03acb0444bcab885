"""MedMNIST+, 12 sets of images and 6 of volumes, by name or from an .npz file."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError, nearest
from ..images.card import DatasetCard
from ..images.image_set import ImageSet
from ..images.sample import Sample
from ..images.store import Progress
from .array_files import decode_npz_row, npz_array
from .download import download

CARD = DatasetCard(
    name="medmnist",
    title="MedMNIST+: medmnist:NAME[@28|64|128|224], for example medmnist:breastmnist@128, or medmnist:FILE.npz",
    paper="Yang et al. 2023, MedMNIST v2, doi:10.1038/s41597-022-01721-8",
    license="CC BY 4.0 (DermaMNIST: CC BY-NC 4.0)",
    group="",
    layout="NAME[_SIZE].npz with {train,val,test}_{images,labels}, below ~/.medmnist or $MEDMNIST_ROOT",
)

SIZES = (28, 64, 128, 224)
_SPLITS = ("train", "val", "test")
_POSITIVE = ("malignant", "pneumonia")


def open_medmnist(
    path: str, *, finding: str | None = None, root: str | None = None, progress: Progress | None = None
) -> ImageSet:
    """Open a set by name, fetching it when it is not on the disk, or from an .npz file.

    Args:
        path: NAME, NAME@SIZE or a path that ends in .npz.
        finding: the class of a multi-label set (chestmnist) to tell from its absence.
        root: folder of the .npz files.
        progress: called while fetching.

    Errors: UserError for an unknown name or size, a failed download, a file without the six arrays, a multi-label set
        without `finding`.
    """
    if not path:
        raise UserError(CARD.name, "no path given", "write medmnist:NAME[@SIZE] or medmnist:FILE.npz")
    if path.endswith(".npz"):
        file = Path(path).expanduser()
        if not file.exists():
            raise UserError(path, "no such file")
        info: Mapping[str, Any] = _table().get(file.stem.split("_")[0].lower(), {})
    else:
        file, info = _fetched(path, root, progress)
    samples, names = [], dict(info.get("label", {}))
    for split in _SPLITS:
        try:
            labels, count = npz_array(file, f"{split}_labels"), len(npz_array(file, f"{split}_images"))
        except Exception as error:  # zip, zlib, KeyError and pickle each have their own
            fix = "it needs {train,val,test}_{images,labels}; download it again"
            raise UserError(str(file), f"cannot be read: {error}", fix) from error
        values = _classes(_whole(labels, f"{file} {split}_labels"), names, finding, file)
        if len(values) != count:
            raise UserError(str(file), f"{count} images and {len(values)} labels in {split}", "download it again")
        for k, label in enumerate(values.tolist()):
            image_id = f"{split}/{k:06d}"
            samples.append(Sample(image_id, file, int(label), image_id, split, frame=k))
    if not samples:
        raise UserError(str(file), "holds no images", "download it again")
    largest, most = max(sample.label for sample in samples), len(names) or len(samples)
    if finding is None and largest >= most:
        raise UserError(str(file), f"has the label {largest} for {most} {'classes' if names else 'images'}")
    classes = _names(samples, names, finding)
    positive = next((name for name in classes if name in _POSITIVE), finding)
    card = dataclasses.replace(
        CARD, classes=classes, positive_class=positive, license=info.get("license", CARD.license)
    )
    return ImageSet(file.stem, classes, samples, card=card, decode=decode_npz_row)


def _table() -> Mapping[str, Mapping[str, Any]]:
    """The package's own table of names, addresses, checksums and classes; empty when it is not installed."""
    try:
        from medmnist.info import INFO
    except ImportError:
        return {}
    return dict(INFO)


def _fetched(path: str, root: str | None, progress: Progress | None) -> tuple[Path, Mapping[str, Any]]:
    name, _, text = path.partition("@")
    if text and text not in map(str, SIZES):
        raise UserError("data.name", f"medmnist has no size {text!r}", f"valid: {', '.join(map(str, SIZES))}")
    suffix = "" if text in ("", "28") else f"_{text}"
    folder = Path(root or os.environ.get("MEDMNIST_ROOT") or Path.home() / ".medmnist").expanduser()
    file, table = folder / f"{name}{suffix}.npz", _table()
    if not table:
        if file.exists():
            return file, {}
        raise UserError(
            "data.name",
            f"{file} is not there",
            "install what fetches it, pip install 'medrobust[medmnist]', or give the path of the file",
        )
    if name not in table:
        raise UserError("data.name", f"unknown MedMNIST set {name!r}", nearest(name, table))
    info = table[name]
    if f"url{suffix}" not in info:
        raise UserError("data.name", f"{name} has no size {text}", "valid: 28, 64")
    return download(info[f"url{suffix}"], file, md5=info[f"MD5{suffix}"], progress=progress), info


def _whole(labels: np.ndarray, place: str) -> np.ndarray:
    """Labels (n, k) as whole numbers. Errors: UserError for others, which would be cut off to a class."""
    if labels.ndim not in (1, 2) or labels.dtype.kind not in "biuf" or 0 in labels.shape[1:]:
        raise UserError(place, f"is {labels.dtype} of shape {labels.shape}, not numbers (n,) or (n, labels)")
    odd = labels[~((labels >= 0) & (labels == np.floor(labels)) & (labels < 2**31))]
    if odd.size:
        raise UserError(place, f"{odd.flat[0]} is not the number of a class", "classes are 0, 1, 2 ...")
    return labels.reshape(len(labels), math.prod(labels.shape[1:])).astype(np.int64)


def _classes(labels: np.ndarray, names: dict[str, str], finding: str | None, file: Path) -> np.ndarray:
    if labels.shape[1] == 1 and finding is None:
        return labels[:, 0]
    if labels.shape[1] == 1:
        raise UserError(
            "data.options.finding", f"{file.name} has one label per image", "choose classes with data.classes"
        )
    known = list(names.values()) or [str(k) for k in range(labels.shape[1])]
    if finding is None:
        fix = f"choose one with data.options.finding=NAME: {', '.join(known)}"
        raise UserError(str(file), f"has {labels.shape[1]} labels per image", fix)
    if finding not in known:
        raise UserError("data.options.finding", f"unknown finding {finding!r}", nearest(finding, known))
    return labels[:, known.index(finding)]


def _names(samples: list[Sample], names: dict[str, str], finding: str | None) -> tuple[str, ...]:
    if finding is not None:
        return (f"no {finding}", finding)
    if names:
        return tuple(names[key] for key in sorted(names, key=int))
    return tuple(str(k) for k in range(max(sample.label for sample in samples) + 1))
