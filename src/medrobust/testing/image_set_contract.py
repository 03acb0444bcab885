"""What every set of images must hold, whoever opened it. A check raises AssertionError and says what is broken."""

from __future__ import annotations

import dataclasses
import random
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.files.pixels import SourceRange
from ..data.images.image_set import ImageSet
from ..data.images.sample import Sample
from ..data.images.splits import SPLITS
from ..data.images.store import Store, Stored
from ..errors import UserError

Open = Callable[[], ImageSet]
PLAIN = (str, int, float, bool)


def items_are_images(images: ImageSet, again: Open) -> None:
    """Item i is (float32 tensor (c, *spatial), int label, i), and every value is finite."""
    assert len(images) > 0, "there are no images"
    for i in range(len(images)):
        x, label, index = images[i]
        assert isinstance(x, Tensor), f"item {i} begins with a {type(x).__name__}"
        assert x.dtype == torch.float32, f"image {i} is {x.dtype}"
        assert x.ndim >= 2, f"image {i} has the shape {tuple(x.shape)}, not (c, *spatial)"
        assert x.numel() > 0, f"image {i} has no pixels"
        assert bool(torch.isfinite(x).all()), f"image {i} holds a value that is not finite"
        assert type(label) is int, f"the label of image {i} is a {type(label).__name__}"
        assert index == i, f"item {i} says that it is item {index}"


def items_are_the_same_again(images: ImageSet, again: Open) -> None:
    """An item is a function of its position: it is equal every time, in every opening, whatever a caller did to it."""
    states = random.getstate(), torch.get_rng_state()
    other = again()
    for i in range(len(images)):
        x, label, _ = images[i]
        kept = x.clone()
        x.add_(1)
        assert torch.equal(images[i][0], kept), f"image {i} differs the second time"
        assert images[i][1] == label, f"the label of image {i} differs the second time"
        assert torch.equal(other[i][0], kept), f"image {i} differs in a second opening"
    assert random.getstate() == states[0], "drew from the global generator of Python"
    assert torch.equal(torch.get_rng_state(), states[1]), "drew from the global generator of torch"


def labels_are_classes(images: ImageSet, again: Open) -> None:
    """Class names are different words, and every label is a position among them."""
    names = images.classes
    assert len(names) >= 2, f"{len(names)} classes"
    assert all(isinstance(name, str) and name for name in names), f"classes are not words: {names}"
    assert len(set(names)) == len(names), f"two classes have one name: {names}"
    for sample in images.samples:
        assert 0 <= sample.label < len(names), f"{sample.image_id} has label {sample.label} of {len(names)} classes"
    assert images.labels.tolist() == [sample.label for sample in images.samples], "labels differ from those of samples"
    positive = images.positive_index
    assert positive is None or 0 <= positive < len(names), f"the positive class is number {positive}"


def ids_name_images(images: ImageSet, again: Open) -> None:
    """Ids are unique, the same in every opening, and no absolute paths."""
    ids = [sample.image_id for sample in images.samples]
    repeated = sorted({name for name in ids if ids.count(name) > 1})
    assert not repeated, f"the id {repeated[0]!r} is used twice" if repeated else ""
    for name in ids:
        assert isinstance(name, str), f"the id {name!r} is no text"
        assert name, "an id is empty"
        assert not _absolute(name), f"the id {name} is an absolute path"
    assert [sample.image_id for sample in again().samples] == ids, "ids differ in a second opening"


def _absolute(name: str) -> bool:
    return PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute()


def what_is_known_is_plain(images: ImageSet, again: Open) -> None:
    """Groups and splits are words, metadata are text and numbers: what a table and a report can hold."""
    for sample in images.samples:
        assert isinstance(sample.group_id, str), f"the group of {sample.image_id} is no text"
        assert sample.group_id, f"the group of {sample.image_id} is empty"
        assert sample.split in ("", *SPLITS), f"{sample.image_id} is in a split {sample.split!r}"
        for key, value in sample.metadata.items():
            assert isinstance(key, str), f"metadata {key!r} of {sample.image_id} has no name"
            kind = type(value)
            assert kind in PLAIN, f"metadata {key!r} of {sample.image_id} is a {kind.__name__}, not text or a number"
    assert images.groups == tuple(sample.group_id for sample in images.samples), "groups differ from those of samples"


def depths_are_positive(images: ImageSet, again: Open) -> None:
    """The source of each image has a bit depth and a range, so that a budget can be said in its unit."""
    for i in range(len(images)):
        source = images.source(i)
        assert isinstance(source, SourceRange), f"the source of image {i} is a {type(source).__name__}"
        depth = images.bit_depth(i)
        assert isinstance(depth, int), f"the bit depth of image {i} is {depth!r}"
        assert depth >= 1, f"the bit depth of image {i} is {depth}"
        assert np.isfinite([source.low, source.high]).all(), f"the range of image {i} is not finite"
        assert source.low != source.high, f"the range of image {i} is empty"


def batches_are_items(images: ImageSet, again: Open) -> None:
    """batch() equals the items, in the order that was asked for; images of several sizes are refused in one line."""
    order = list(range(len(images)))[::-1]
    if len({tuple(images[i][0].shape) for i in order}) > 1:
        said = _refusal(images, order)
        assert said, "a batch of images of different sizes is not refused"
        assert "data.image_size" in said, f"does not say what to do about different sizes: {said}"
        order = order[:1]
    batch, items = images.batch(order), [images[i] for i in order]
    assert torch.equal(batch.x, torch.stack([x for x, _, _ in items])), "a batch differs from its items"
    assert batch.x.dtype == torch.float32, f"a batch is {batch.x.dtype}"
    assert batch.y.dtype == torch.long, f"the labels of a batch are {batch.y.dtype}"
    assert batch.y.tolist() == [label for _, label, _ in items], "the labels of a batch differ from those of its items"
    assert batch.index.tolist() == order, "a batch does not say which images it holds"


def _refusal(images: ImageSet, order: list[int]) -> str:
    try:
        images.batch(order)
    except UserError as error:
        return str(error)
    return ""


def parts_keep_their_images(images: ImageSet, again: Open) -> None:
    """subset, with_split and replace change what they are asked to and keep the rest."""
    order = [len(images) - 1, 0]
    part = images.subset(order)
    assert part.samples == tuple(images.samples[i] for i in order), "subset changes the samples or their order"
    _same_images(part, images, order, "subset")
    _same_rest(part, images, "subset")
    assert images.with_split("all").samples == images.samples, "with_split('all') is not the whole set"
    named = images.replace(name="another")
    assert named.name == "another", "replace does not change the name"
    assert named.samples == images.samples, "replace changes the samples"
    _same_images(named, images, [0], "replace")
    _same_rest(named, images, "replace")


def _same_images(part: ImageSet, images: ImageSet, order: list[int], what: str) -> None:
    for position, i in enumerate(order):
        assert torch.equal(part[position][0], images[i][0]), f"{what} changes image {i}"
        assert part[position][1] == images[i][1], f"{what} changes the label of image {i}"
        assert part.bit_depth(position) == images.bit_depth(i), f"{what} changes the bit depth of image {i}"


def _same_rest(part: ImageSet, images: ImageSet, what: str) -> None:
    for name in ("classes", "view", "card", "broken", "seed", "extremes", "whole", "positive_index"):
        assert getattr(part, name) == getattr(images, name), f"{what} loses {name}"


def groups_stay_whole(images: ImageSet, again: Open) -> None:
    """train, val and test share no image and no group, and are the whole set together."""
    sides: dict[str, str] = {}
    found: list[Sample] = []
    for name in SPLITS:
        try:
            part = images.with_split(name)
        except UserError:
            continue
        found += part.samples
        _same_rest(part, images, "with_split")
        for sample in part.samples:
            assert sample.split == name, f"with_split({name!r}) gives {sample.image_id} of {sample.split!r}"
            other = sides.setdefault(sample.group_id, name)
            assert other == name, f"the group {sample.group_id} is in {other} and in {name}"
    ids = sorted(sample.image_id for sample in found)
    assert ids == sorted(sample.image_id for sample in images.samples), "the splits are not the whole set"


def fingerprints_follow_content(images: ImageSet, again: Open) -> None:
    """Equal for equal images, in every opening and at every place; another when a pixel, a label or a group changes."""
    known = images.fingerprint()
    assert isinstance(known, str), "the fingerprint is no text"
    assert images.fingerprint() == known, "the fingerprint differs the second time"
    assert again().fingerprint() == known, "the fingerprint differs in a second opening"
    first, rest = images.samples[0], images.samples[1:]
    assert images.replace(samples=rest).fingerprint() != known, "the fingerprint does not see that an image is missing"
    changes: list[dict[str, Any]] = [
        {"label": (first.label + 1) % len(images.classes)},
        {"group_id": f"{first.group_id} of another"},
        {"image_id": f"{first.image_id} of another"},
    ]
    for change in changes:
        if "image_id" in change and first.path is None:
            continue  # the id of an image in memory may be what finds it
        changed = images.replace(samples=[dataclasses.replace(first, **change), *rest])
        assert changed.fingerprint() != known, f"the fingerprint does not see another {next(iter(change))}"
    if first.path is None:
        changed = images.replace(store=_OnePixelChanged(images.store, first))
        assert changed.fingerprint() != known, "the fingerprint does not see another pixel"
        return
    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate((first.path.read_bytes(), _one_byte_changed(first.path))):
            copy = Path(folder) / str(number) / first.path.name
            copy.parent.mkdir()
            copy.write_bytes(content)
            found = images.replace(samples=[dataclasses.replace(first, path=copy), *rest]).fingerprint()
            assert (found == known) == (number == 0), (
                "the fingerprint does not see another file" if number else "the fingerprint depends on where a file is"
            )


def _one_byte_changed(path: Path) -> bytes:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    return bytes(content)


@dataclasses.dataclass(frozen=True)
class _OnePixelChanged:
    """A store in which one value of one image is another."""

    store: Store
    sample: Sample

    def get(self, sample: Sample) -> Stored:
        """The image of a sample."""
        stored = self.store.get(sample)
        if sample != self.sample:
            return stored
        values = stored.values.copy()
        first = values.reshape(-1)[:1]
        first[...] = np.nextafter(first, np.float32(2)) if values.dtype.kind == "f" else first ^ 1
        return stored._replace(values=values)


IMAGE_SET_CHECKS: dict[str, Callable[[ImageSet, Open], None]] = {
    check.__name__: check
    for check in (
        items_are_images,
        items_are_the_same_again,
        labels_are_classes,
        ids_name_images,
        what_is_known_is_plain,
        depths_are_positive,
        batches_are_items,
        parts_keep_their_images,
        groups_stay_whole,
        fingerprints_follow_content,
    )
}


def check_image_set(images: ImageSet, *, again: Open | None = None) -> None:
    """Run every check on a set of images with labels. It looks at every image several times: give a small one.

    Args:
        images: an ImageSet, however it was made.
        again: opens the same set a second time; by default, images that come from files are decoded again.

    Errors: AssertionError that names the check and says what is broken.

    Example:
        >>> from medrobust.testing.image_sets import tiny_set
        >>> check_image_set(tiny_set(), again=tiny_set)
    """
    from_files = all(sample.path is not None for sample in images.samples)
    opened: Open = again or (lambda: images.replace(store=None) if from_files else images)
    for name, check in IMAGE_SET_CHECKS.items():
        try:
            check(images, opened)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
