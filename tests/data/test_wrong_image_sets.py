"""Image sets that break each check of the contract, which must say so."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch

from medrobust.data import Batch, ImageSet, Sample
from medrobust.data.files.pixels import SourceRange
from medrobust.data.images.store import Stored
from medrobust.testing import IMAGE_SET_CHECKS, check_image_set
from medrobust.testing.image_sets import decode_tiny, tiny_set

Open = Callable[[], ImageSet]


class Lying(ImageSet):
    """An ImageSet of tiny_set whose methods may be overridden."""

    def __init__(self, *args: object, **more: object) -> None:
        whole = tiny_set()
        super().__init__(
            *(args or (whole.name, whole.classes, whole.samples)),
            **({"decode": decode_tiny} | more),  # type: ignore
        )

    def replace(self, **changes):
        found = super().replace(**changes)
        found.__class__ = type(self)
        return found


class DoublePrecision(Lying):
    def __getitem__(self, i):
        x, label, index = super().__getitem__(i)
        return x.double(), label, index


class NotFinite(Lying):
    def __getitem__(self, i):
        x, label, index = super().__getitem__(i)
        return x / x.min(), label, index


class TensorLabels(Lying):
    def __getitem__(self, i):
        x, label, index = super().__getitem__(i)
        return x, torch.tensor(label), index


class WrongIndex(Lying):
    def __getitem__(self, i):
        return (*super().__getitem__(i)[:2], 0)


class Augmented(Lying):
    def __getitem__(self, i):
        x, label, index = super().__getitem__(i)
        return x + 0.01 * torch.rand(()), label, index


class SharedMemory(Lying):
    kept: dict[int, tuple]

    def __getitem__(self, i):
        self.kept = getattr(self, "kept", {})
        return self.kept.setdefault(i, super().__getitem__(i))


class WrongBatch(Lying):
    def batch(self, indices):
        found = super().batch(indices)
        return Batch(found.x.flip(0), found.y, found.index)


class ForgetfulReplace(Lying):
    def replace(self, **changes):
        return super().replace(**({"seed": 5} | changes))


class ForgetfulSubset(Lying):
    def subset(self, indices):
        return super().subset(sorted(indices))


class LeakingSplits(Lying):
    def with_split(self, name):
        if name == "all":
            return self
        side = ("train", "val", "test").index(name)
        samples = [dataclasses.replace(s, split=name) for i, s in enumerate(self.samples) if i % 3 == side]
        return self.replace(samples=samples)


class LosingSplits(Lying):
    def with_split(self, name):
        found = super().with_split(name)
        return found if name != "train" else found.subset(range(len(found) - 1))


class CarelessFingerprint(Lying):
    def fingerprint(self):
        return str(len(self.samples))


class ChangingFingerprint(Lying):
    calls = 0

    def fingerprint(self):
        type(self).calls += 1
        return f"{super().fingerprint()}{self.calls}"


class NoDepth(Lying):
    def source(self, i):
        return SourceRange(0, 0.0, 1.0)


class EmptyRange(Lying):
    def source(self, i):
        return SourceRange(8, 1.0, 1.0)


def changed(**changes: object) -> ImageSet:
    first, *rest = tiny_set().samples
    return tiny_set().replace(samples=[dataclasses.replace(first, **changes), *rest])


class OddStore:
    """Images of two sizes."""

    def get(self, sample: Sample) -> Stored:
        return Stored(np.zeros((1, 4, 4 + sample.frame % 2), np.uint8), SourceRange())


class Padding(Lying):
    def batch(self, indices):
        return super().batch([i - i % 2 for i in indices])


WRONG: dict[str, tuple[Open, str, str]] = {
    "double precision": (DoublePrecision, "items_are_images", "float64"),
    "not finite": (NotFinite, "items_are_images", "not finite"),
    "labels are tensors": (TensorLabels, "items_are_images", "label of image 0 is a Tensor"),
    "wrong index": (WrongIndex, "items_are_images", "item 1 says that it is item 0"),
    "empty": (lambda: tiny_set().replace(samples=()), "items_are_images", "no images"),
    "augmented": (Augmented, "items_are_the_same_again", "differs the second time"),
    "shared memory": (SharedMemory, "items_are_the_same_again", "differs the second time"),
    "unknown label": (lambda: changed(label=2), "labels_are_classes", "label 2 of 2 classes"),
    "one class": (lambda: tiny_set(4, 1), "labels_are_classes", "1 classes"),
    "classes of one name": (lambda: tiny_set().replace(classes=("a", "a")), "labels_are_classes", "one name"),
    "repeated id": (lambda: changed(image_id="0001"), "ids_name_images", "'0001' is used twice"),
    "absolute id": (lambda: changed(image_id="/images/1.png"), "ids_name_images", "absolute path"),
    "absolute id of Windows": (lambda: changed(image_id="C:\\x.png"), "ids_name_images", "absolute path"),
    "group that is no text": (lambda: changed(group_id=3), "what_is_known_is_plain", "is no text"),
    "unknown split": (lambda: changed(split="training"), "what_is_known_is_plain", "'training'"),
    "metadata with a tensor": (
        lambda: changed(metadata={"age": torch.tensor(3.0)}),
        "what_is_known_is_plain",
        "'age' of 0000 is a Tensor",
    ),
    "no depth": (NoDepth, "depths_are_positive", "bit depth of image 0 is 0"),
    "empty range": (EmptyRange, "depths_are_positive", "range of image 0 is empty"),
    "wrong batch": (WrongBatch, "batches_are_items", "differs from its items"),
    "sizes that are not refused": (
        lambda: Padding(store=OddStore()),
        "batches_are_items",
        "different sizes is not refused",
    ),
    "subset in another order": (ForgetfulSubset, "parts_keep_their_images", "their order"),
    "replace forgets the seed": (ForgetfulReplace, "parts_keep_their_images", "loses seed"),
    "group on two sides": (LeakingSplits, "groups_stay_whole", "the group group0 is in train and in val"),
    "lost image": (LosingSplits, "groups_stay_whole", "not the whole set"),
    "careless fingerprint": (CarelessFingerprint, "fingerprints_follow_content", "another label"),
    "changing fingerprint": (ChangingFingerprint, "fingerprints_follow_content", "differs the second time"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_what_is_wrong_is_named(fault: str) -> None:
    make, check, words = WRONG[fault]
    with pytest.raises(AssertionError, match=words) as error:
        check_image_set(make())
    assert str(error.value).startswith(f"{check}: ")


def test_every_check_can_fail() -> None:
    assert {check for _, check, _ in WRONG.values()} == set(IMAGE_SET_CHECKS)
