"""A set of labeled, grouped images that a classifier can be run on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ...errors import UserError
from ..files.pixels import Pixels, SourceRange
from ..files.read import read_pixels
from .arrays import ArrayStore, class_labels, gather, image_ids, is_unknown, per_image, rows_of, source_of, split_names
from .batch import Batch
from .card import DatasetCard
from .hashes import content_hashes
from .masks import Masks, ShownMasks, masks_of
from .sample import Sample
from .splits import SPLITS, complete_splits
from .store import Decode, MemoryStore, Store, checked_extremes, find_extremes
from .view import View

_KEPT = ("view", "card", "decode", "broken", "seed", "whole", "masks")
__all__ = ["ImageSet", "Sample", "View", "read_sample"]


def read_sample(sample: Sample) -> Pixels:
    """Decode the file of a sample. Errors: BrokenImageError."""
    assert sample.path is not None, "images without a file need a decode function of their own"
    return read_pixels(sample.path, sample.frame)


class ImageSet(Dataset[tuple[Tensor, int, int]]):
    """Images in [0, 1], labels, groups, splits and metadata.

    Item i is (x float32 (c, *spatial), label, i); x is the view of the image at the depth of its source: every value is
    k / 255 where the source shows 256 levels, else k / 65535. Images are decoded once.

    Args:
        name: short name for reports, "busi".
        classes: class names; sample.label is a position here.
        samples: the images, in a stable order.
        view: how an image is shown.
        card: what is known about the data set.
        decode: sample -> Pixels, a module-level function so that loader workers can be started.
        broken: (image_id, reason) of files that were left out.
        seed: seed of splits that the source does not give.
        store: where decoded images are kept.
        extremes: least and largest pixel, on [0, 1] as the source shows them, which View(scale="set") stretches to 0
            and 1. Those that a model was trained with can be given; else they are those of all images that are not
            test, whatever part of them the samples are.
        whole: all images of the source with their splits, of which the samples may be a part.
        masks: sample -> the mask of its lesion; None where the source has none.
    """

    domain = (0.0, 1.0)

    def __init__(
        self,
        name: str,
        classes: Sequence[str],
        samples: Iterable[Sample],
        *,
        view: View | None = None,
        card: DatasetCard | None = None,
        decode: Decode = read_sample,
        broken: Iterable[tuple[str, str]] = (),
        seed: int = 0,
        store: Store | None = None,
        extremes: tuple[float, float] | None = None,
        whole: Sequence[Sample] = (),
        masks: Masks | None = None,
    ) -> None:
        self.name, self.classes, self.samples = name, tuple(classes), tuple(samples)
        self.view = view or View()
        self.card = card or DatasetCard(name, name, classes=self.classes)
        self.decode, self.broken, self.seed = decode, tuple(broken), seed
        self.whole, self.masks = tuple(whole), masks
        self._shown_masks = ShownMasks(name, masks, decode, self.view)
        self.store: Store = store or MemoryStore(decode, self.view)
        self._extremes = checked_extremes(extremes) if self.view.scale == "set" else None

    @staticmethod
    def of(
        source: Any,
        labels: Any = None,
        *,
        classes: Sequence[str] | None = None,
        groups: Sequence[Any] | None = None,
        ids: Sequence[Any] | None = None,
        splits: Sequence[str] | None = None,
        metadata: Mapping[str, Sequence[Any]] | None = None,
        name: str = "images",
        keys: tuple[str, str] = ("image", "label"),
        bits: int | None = None,
        masks: Any = None,
    ) -> ImageSet:
        """Images that are in memory already, as they are: floating point is not rounded.

        Args:
            source: x (n, c, *spatial), floating point in the classifier's domain or uint8 / uint16; or a torch Dataset
                or DataLoader, a MONAI data set of dicts, or any iterable of (image, label) or mappings.
            labels: (n,) whole numbers or class names, with a tensor or an array.
            classes: class names in the order of the labels.
            groups: patient or lesion of each image, for splits and intervals; each image its own by default, and where
                the group is None, "" or NaN.
            ids: a stable name for each image; "000000", "000001", ... by default.
            splits: "train", "val", "test" or "" for each image.
            metadata: name -> a value for each image (age, sex, site), for the groups of a report.
            name: of the set.
            keys: of image and label, where the source yields mappings.
            bits: depth of the file that floating point images came from; by default 8 where all are k / 255.
            masks: (n, 1, *spatial) or (n, *spatial), not 0 where a pixel shows the lesion.

        Errors: UserError, naming what does not fit.

        Example:
            >>> x, y = torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 0, 1])
            >>> images = ImageSet.of(x, y, classes=["benign", "malignant"], groups=["p1", "p1", "p2", "p2"])
            >>> bool((images[2][0] == x[2]).all()), images.groups[2]
            (True, 'p2')
        """
        if isinstance(source, ImageSet):
            return source
        values, given = gather(source, labels, keys)
        n = len(values)
        if len(given) != n:
            raise UserError("labels", f"{len(given)} for {n} images", "give one per image")
        names, numbers = class_labels(given, classes)
        own = image_ids(per_image("ids", ids, n) or [f"{i:06d}" for i in range(n)])
        group = per_image("groups", groups, n) or [None] * n
        split = split_names(per_image("splits", splits, n) or [None] * n)
        table = {key: per_image(f"metadata.{key}", column, n) or () for key, column in (metadata or {}).items()}
        samples = [
            Sample(own[i], None, numbers[i], own[i] if is_unknown(group[i]) else str(group[i]), split[i], known, i)
            for i, known in enumerate(rows_of(table, n))
        ]
        store = ArrayStore(values, source_of(values, bits))
        view = View(None, "grey" if values.shape[1] == 1 else "rgb")
        return ImageSet(
            name, names, samples, view=view, decode=store.decode, store=store, masks=masks_of(masks, values)
        )

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, i: int) -> tuple[Tensor, int, int]:
        sample = self.samples[i]
        return self._unit([self.store.get(sample).values])[0], sample.label, i

    def __repr__(self) -> str:
        return f"ImageSet({self.name!r}, {len(self)} images, classes={', '.join(self.classes)})"

    def batch(self, indices: Sequence[int]) -> Batch:
        """Several images at once. Errors: UserError when their sizes differ."""
        chosen = [self.samples[i] for i in indices]
        values = [self.store.get(sample).values for sample in chosen]
        if len({array.shape for array in values}) > 1:
            sizes = {array.shape: sample.image_id for array, sample in zip(values, chosen, strict=True)}
            text = ", ".join(f"{name} {'x'.join(map(str, shape[1:]))}" for shape, name in list(sizes.items())[:2])
            raise UserError(
                "data.image_size", f"images differ in size ({text})", "set data.image_size, for example 224"
            )
        y = torch.tensor([sample.label for sample in chosen], dtype=torch.long)
        return Batch(self._unit(values), y, torch.tensor(indices, dtype=torch.long))

    def _unit(self, values: Sequence[np.ndarray]) -> Tensor:
        unit = np.empty((len(values), *values[0].shape), dtype=np.float32)
        for row, array in zip(unit, values, strict=True):  # one pass over memory, from the integers to the batch
            if array.dtype.kind == "f":
                row[...] = array
            else:
                np.divide(array, np.float32(np.iinfo(array.dtype).max), out=row, dtype=np.float32)
        x = torch.from_numpy(unit)
        if self.extremes is not None:
            least, most = self.extremes
            x.sub_(least).div_(most - least).clamp_(0.0, 1.0)
        return x

    @property
    def extremes(self) -> tuple[float, float] | None:
        """What View(scale="set") stretches to 0 and 1, looked for at the first request; None for other views."""
        if self._extremes is None and self.view.scale == "set":
            self._extremes = find_extremes(self.training_part(), self.store)
        return self._extremes

    @property
    def has_extremes(self) -> bool:
        """Whether the extremes are known already."""
        return self._extremes is not None

    def training_part(self) -> list[Sample]:
        """All images of the source that are not test; all of them where nothing else is known."""
        known = complete_splits(self.whole or self.samples, seed=self.seed)
        return [sample for sample in known if sample.split != "test"] or list(known)

    @property
    def labels(self) -> Tensor:
        """Labels, long (n,)."""
        return torch.tensor([sample.label for sample in self.samples], dtype=torch.long)

    @property
    def groups(self) -> tuple[str, ...]:
        """Group ids in the order of the samples."""
        return tuple(sample.group_id for sample in self.samples)

    @property
    def positive_index(self) -> int | None:
        """Position of the card's positive class; class 1 of an unknown two-class set; None otherwise."""
        if self.card.positive_class in self.classes:
            return self.classes.index(str(self.card.positive_class))
        return 1 if len(self.classes) == 2 else None

    def source(self, i: int) -> SourceRange:
        """Bits, range and unit of the source of image i."""
        source = self.store.get(self.samples[i]).source
        if self.extremes is None:
            return source
        ends = [1 - end for end in self.extremes[::-1]] if source.inverted else self.extremes
        low, high = (source.low + end * (source.high - source.low) for end in ends)
        return dataclasses.replace(source, low=low, high=high)

    def bit_depth(self, i: int) -> int:
        """Bits stored in the source of image i: 8, 12, 16."""
        return self.source(i).bits

    def resolution(self, i: int) -> float:
        """One stored unit of image i on [0, 1]: 1/255 for 8 bits, 1/400 for whole HU of 400; 0 for floating point.

        The values that its file can hold are origin(i) + k * resolution(i), clipped to [0, 1].
        """
        return self.source(i).resolution

    def origin(self, i: int) -> float:
        """A value on [0, 1] that the file of image i can hold, see resolution."""
        return self.source(i).origin

    def mask(self, i: int) -> Tensor:
        """bool (1, *spatial): which pixels of image i, as it is shown, its mask covers. Errors: as ShownMasks.get."""
        return self._shown_masks.get(self.samples[i])

    def replace(self, **changes: Any) -> ImageSet:
        """The same set with other samples, classes, view, broken, seed or store; a new view starts a new store."""
        same_view = changes.get("view", self.view) == self.view
        current: dict[str, Any] = {key: getattr(self, key) for key in _KEPT}
        current |= {"name": self.name, "classes": self.classes, "samples": self.samples}
        if "classes" in changes:  # the labels of the whole mean the old ones
            current["whole"] = ()
        if same_view:
            current["store"] = self.store
        view: View = changes.get("view", self.view)
        if (view.scale, view.window) == (self.view.scale, self.view.window):
            current["extremes"] = self._extremes
        return ImageSet(**(current | changes))

    def _settled(self) -> ImageSet:
        """Itself, with its extremes known before images leave that they depend on."""
        return self if self.whole else self.replace(extremes=self.extremes)

    def subset(self, indices: Iterable[int]) -> ImageSet:
        """The images at these positions, in this order; decoded images are shared."""
        return self._settled().replace(samples=tuple(self.samples[int(i)] for i in indices))

    def with_split(self, name: str) -> ImageSet:
        """The images of "train", "val" or "test"; all of them for "all".

        Missing splits are made by group, stratified, from the seed of the set.

        Errors: UserError when the name is unknown or the split is empty.
        """
        if name == "all":
            return self
        if name not in SPLITS:
            raise UserError("data.split", f"unknown split {name!r}", f"valid: {', '.join(SPLITS)}, all")
        samples = tuple(s for s in complete_splits(self.samples, seed=self.seed) if s.split == name)
        if not samples:
            found = sorted({s.split for s in self.samples})
            raise UserError(self.name, f"no image is in the split {name!r}", f"splits found: {', '.join(found)}")
        return self._settled().replace(samples=samples)

    def fingerprint(self) -> str:
        """SHA-256 hex of ids, labels, groups, file contents and view: equal for equal input, whatever the path."""
        head = [self.classes, dataclasses.asdict(self.view), *([self.extremes] if self.extremes else [])]
        digest = hashlib.sha256(json.dumps(head).encode())
        contents = content_hashes(sample.path for sample in self.samples if sample.path is not None)
        for sample in self.samples:
            if sample.path is None:
                content = hashlib.sha256(self.store.get(sample).values.tobytes()).hexdigest()
            else:
                content = contents[sample.path]
            row = [sample.image_id, sample.frame, sample.label, sample.group_id, content]
            digest.update(json.dumps(row).encode())
        return digest.hexdigest()
