"""Images that are in memory already: tensors, arrays, and whatever a torch data set or loader yields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader

from ...errors import UserError
from ..files.pixels import Pixels, SourceRange
from .sample import Sample
from .splits import SPLITS
from .store import Stored

GREY_BITS = 8
FLOAT = SourceRange(24, 0.0, 1.0, "float", None)  # what float32 resolves in [0.5, 1)
INTEGERS = {np.dtype(np.uint8): 8, np.dtype(np.uint16): 16}


class Arrays(NamedTuple):
    """values (n, c, *spatial) uint8, uint16 or float32; labels as given, (n,)."""

    values: np.ndarray
    labels: np.ndarray


class ArrayStore:
    """A store whose images are given: nothing is decoded, nothing is rounded.

    Args:
        values: (n, c, *spatial); a sample's frame is its row.
        source: what a value means.
    """

    def __init__(self, values: np.ndarray, source: SourceRange) -> None:
        self.values, self.source = values, source

    def get(self, sample: Sample) -> Stored:
        """The image of a sample."""
        return Stored(self.values[sample.frame], self.source)

    def decode(self, sample: Sample) -> Pixels:
        """The image as a file would give it, for other views of the set. Floats outside [0, 1] state no range."""
        values, source = self.values[sample.frame], self.source
        low, high = source.low, source.high
        if values.dtype.kind == "f":
            if float(values.min()) < 0 or float(values.max()) > 1:
                return Pixels(values, source.bits, None, None, source.unit)
            values = np.float32(low) + values * np.float32(high - low)
        return Pixels(values, source.bits, low, high, source.unit, source.step)


def gather(source: Any, labels: Any, keys: tuple[str, str]) -> Arrays:
    """All images and labels of a tensor, an array, a data set, a loader, or any iterable of pairs or mappings.

    A pair of tensors (x, y) is images and labels.

    Errors: UserError when there are no labels, counts differ, images differ in size, or are no images.
    """
    if labels is None and isinstance(source, tuple) and len(source) == 2 and isinstance(source[0], Tensor | np.ndarray):
        source, labels = source
    if isinstance(source, Tensor | np.ndarray):
        if labels is None:
            raise UserError("images", "given without labels", "write ImageSet.of(x, y)")
        return Arrays(_images(source), _array(labels))
    if labels is not None:
        raise UserError("labels", "given beside a data set, which has its own", "leave them out")
    batched = isinstance(source, DataLoader) and source.batch_size is not None
    xs: list[np.ndarray] = []
    ys: list[np.ndarray] = []
    for item in _items(source):
        x, y = _pair(item, keys)
        array, label = _array(x), _array(y)
        xs += list(array) if batched or label.ndim > 0 else [array]
        ys += list(label.reshape(-1))
    if not xs:
        raise UserError("images", "there are none")
    if len({x.shape for x in xs}) > 1:
        shapes = sorted({"x".join(map(str, x.shape)) for x in xs})
        raise UserError("images", f"differ in size ({', '.join(shapes[:2])})", "resize them to one size first")
    return Arrays(_images(np.stack(xs)), np.array(ys))


def _items(source: Any) -> Iterator[Any]:
    if isinstance(source, Sequence) or (hasattr(source, "__getitem__") and hasattr(source, "__len__")):
        return (source[i] for i in range(len(source)))
    if isinstance(source, Iterable):
        return iter(source)
    raise UserError("images", f"a {type(source).__name__} holds no images", "give tensors, a Dataset or a DataLoader")


def _pair(item: Any, keys: tuple[str, str]) -> tuple[Any, Any]:
    """Image and label of what a data set yields: a mapping with these keys, or a sequence that begins with both."""
    if isinstance(item, Mapping):
        for key in keys:
            if key not in item:
                found = ", ".join(map(str, item))
                raise UserError("images", f"no key {key!r} in what the data set yields", f"found: {found}; name keys=")
        return item[keys[0]], item[keys[1]]
    if isinstance(item, Sequence) and len(item) >= 2 and not isinstance(item, str):
        return item[0], item[1]
    raise UserError("images", f"the data set yields a {type(item).__name__}", "it must yield (image, label) or a dict")


def _array(value: Any) -> np.ndarray:
    """A tensor of any kind and device, an array, a number or a list of them, as an array."""
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


def _images(given: Tensor | np.ndarray) -> np.ndarray:
    values = _array(given)
    if values.dtype.kind in "US":
        raise UserError("images", "are text and not pixels", "load the files first, as LoadImaged of MONAI does")
    if values.ndim < 3:
        raise UserError("images", f"have the shape {values.shape}", "give (n, channels, *spatial)")
    if values.dtype in INTEGERS:
        return np.ascontiguousarray(values)
    if values.dtype.kind != "f":
        raise UserError("images", f"are of type {values.dtype}", "give uint8, uint16 or floating point")
    return np.ascontiguousarray(values, dtype=np.float32)


def source_of(values: np.ndarray, bits: int | None) -> SourceRange:
    """What a value means: grey levels of integers; of floats the given depth, else 8 bits where they are k / 255."""
    if values.dtype in INTEGERS:
        depth = INTEGERS[values.dtype]
        return SourceRange(depth, 0.0, float(2**depth - 1))
    if bits is None:
        levels = values.astype(np.float64) * 255
        bits = GREY_BITS if bool((np.abs(levels - levels.round()) < 1e-3).all()) else None
    return FLOAT if bits is None else SourceRange(bits, 0.0, float(2**bits - 1))


def class_labels(labels: np.ndarray, classes: Sequence[str] | None) -> tuple[tuple[str, ...], list[int]]:
    """Class names, and labels as positions among them; labels may be names or whole numbers.

    Errors: UserError for labels that are neither, or that no class has.

    Example:
        >>> class_labels(np.array(["mel", "nv", "mel"]), None)
        (('mel', 'nv'), [0, 1, 0])
    """
    if labels.ndim != 1:
        raise UserError("labels", f"have the shape {labels.shape}", "give one label per image")
    if labels.dtype.kind in "US":
        words = [str(label) for label in labels.tolist()]
        names = tuple(classes) if classes else tuple(sorted(set(words)))
        unknown = sorted(set(words) - set(names))
        if unknown:
            raise UserError("labels", f"{unknown[0]!r} is not among the classes", f"valid: {', '.join(names)}")
        return names, [names.index(word) for word in words]
    numbers = labels.astype(np.int64)
    if labels.dtype.kind not in "iufb" or not bool((numbers == labels).all()) or int(numbers.min(initial=0)) < 0:
        raise UserError("labels", "are neither names nor whole numbers from 0 on")
    largest = int(numbers.max(initial=0))
    names = tuple(classes) if classes else tuple(str(k) for k in range(max(largest + 1, 2)))
    if largest >= len(names):
        raise UserError("labels", f"label {largest} has no name among {len(names)} classes", "name every class")
    return names, numbers.tolist()


def per_image(place: str, given: Sequence[Any] | None, n: int) -> list[str | float | None] | None:
    """One text or number per image; None where it is missing (None, NaN), and for no list at all.

    Errors: UserError when there are more or fewer than n.

    Example:
        >>> per_image("groups", np.array([3, 4]), 2), per_image("age", [61.5, None, float("nan")], 3)
        ([3, 4], [61.5, None, None])
    """
    if given is None:
        return None
    values = [value.item() if isinstance(value, Tensor | np.generic) else value for value in given]
    if len(values) != n:
        raise UserError(place, f"{len(values)} for {n} images", "give one per image")
    return [
        None if value is None or value != value else value if isinstance(value, str | int | float) else str(value)
        for value in values
    ]


def image_ids(given: Sequence[Any]) -> list[str]:
    """The ids as text. Errors: UserError for two that are equal, one that is missing, or an absolute path."""
    ids = [str(value) for value in given]
    if any(value is None for value in given) or len(set(ids)) < len(ids):
        raise UserError("ids", "an image has none, or two images have one id", "give each its own")
    outside = next((name for name in ids if PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive), None)
    if outside is not None:
        raise UserError("ids", f"{outside} is an absolute path", "give it relative to the folder of the images")
    return ids


def split_names(given: Sequence[Any]) -> list[str]:
    """The split of each image, "" where there is none. Errors: UserError for a word that names none."""
    names = ["" if value is None else str(value) for value in given]
    unknown = next((name for name in names if name not in ("", *SPLITS)), None)
    if unknown is not None:
        raise UserError("splits", f"unknown split {unknown!r}", f"valid: {', '.join(SPLITS)}")
    return names


def rows_of(table: Mapping[str, Sequence[Any]], n: int) -> list[dict[str, Any]]:
    """The metadata of each of n images, without what is missing."""
    return [{key: column[i] for key, column in table.items() if column[i] is not None} for i in range(n)]


def is_unknown(group: Any) -> bool:
    """Whether a group says nothing: None, "" or NaN."""
    return group is None or group == "" or group != group
