"""A set of labeled, grouped images that a classifier can be run on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..errors import UserError
from ..files import sha256_file
from .cards import DatasetCard
from .pixels import Pixels, SourceRange
from .readers import read_pixels
from .sample import Sample
from .splits import SPLITS, complete_splits
from .store import Decode, MemoryStore, Store
from .views import View

__all__ = ["ImageSet", "Sample", "View", "read_sample"]


def read_sample(sample: Sample) -> Pixels:
    """Decode the file of a sample. Errors: BrokenImageError."""
    assert sample.path is not None, "images without a file need a decode function of their own"
    return read_pixels(sample.path, sample.frame)


class ImageSet(Dataset[tuple[Tensor, int, int]]):
    """Images in [0, 1], labels, groups, splits and metadata.

    Item i is (x float32 (c, *spatial), label, i); x is the view of the image at the depth of its source, so every
    value is k / 255 (k / 65535 for deeper sources). Images are decoded once.

    Args:
        name: short name for reports, "busi".
        classes: class names; sample.label is a position here.
        samples: the images, in a stable order.
        view: how an image is shown.
        card: what is known about the data set.
        decode: sample -> Pixels, a module-level function so that loader workers can be started.
        broken: (image_id, reason) of files that were left out.
        seed: seed of splits that the source does not give.
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
    ) -> None:
        self.name, self.classes, self.samples = name, tuple(classes), tuple(samples)
        self.view = view or View()
        self.card = card or DatasetCard(name, name, classes=self.classes)
        self.decode, self.broken, self.seed = decode, tuple(broken), seed
        self.store: Store = store or MemoryStore(decode, self.view)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, i: int) -> tuple[Tensor, int, int]:
        sample = self.samples[i]
        values = torch.from_numpy(self.store.get(sample).values)
        top = 255.0 if values.dtype == torch.uint8 else 65535.0
        return values.to(torch.float32) / top, sample.label, i

    def __repr__(self) -> str:
        return f"ImageSet({self.name!r}, {len(self)} images, classes={', '.join(self.classes)})"

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
        return self.store.get(self.samples[i]).source

    def bit_depth(self, i: int) -> int:
        """Bits stored in the source of image i: 8, 12, 16."""
        return self.source(i).bits

    def replace(self, **changes: Any) -> ImageSet:
        """The same set with other samples, classes, view, broken, seed or store; a new view starts a new store."""
        same_view = changes.get("view", self.view) == self.view
        current: dict[str, Any] = {key: getattr(self, key) for key in ("view", "card", "decode", "broken", "seed")}
        current |= {"name": self.name, "classes": self.classes, "samples": self.samples}
        return ImageSet(**({"store": self.store if same_view else None} | current | changes))

    def subset(self, indices: Iterable[int]) -> ImageSet:
        """The images at these positions, in this order; decoded images are shared."""
        return self.replace(samples=tuple(self.samples[int(i)] for i in indices))

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
        return self.replace(samples=samples)

    def fingerprint(self) -> str:
        """SHA-256 hex of ids, labels, groups, file contents and view: equal for equal input, whatever the path."""
        digest = hashlib.sha256(json.dumps([self.classes, dataclasses.asdict(self.view)]).encode())
        contents: dict[str, str] = {}
        for sample in self.samples:
            if sample.path is None:
                content = hashlib.sha256(self.store.get(sample).values.tobytes()).hexdigest()
            else:
                key = str(sample.path)
                content = contents.get(key) or sha256_file(sample.path)
                contents[key] = content
            row = [sample.image_id, sample.frame, sample.label, sample.group_id, content]
            digest.update(json.dumps(row).encode())
        return digest.hexdigest()
