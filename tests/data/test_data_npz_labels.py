"""Labels of an .npz set that are no class numbers are refused, not cut off to one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medrobust.data.open import list_images
from medrobust.errors import UserError


def write(folder: Path, labels: np.ndarray) -> str:
    arrays = {f"{part}_images": np.zeros((4, 8, 8), np.uint8) for part in ("train", "val", "test")}
    arrays |= {f"{part}_labels": np.array([[0], [1], [0], [1]], np.uint8) for part in ("train", "val")}
    np.savez(folder / "set.npz", **arrays, test_labels=labels)
    return f"medmnist:{folder / 'set.npz'}"


GOOD = np.array([0, 1, 1, 0])
WRONG = {
    "half": (np.array([0, 0.5, 1, 1]), "0.5 is not the number of a class"),
    "nan": (np.array([0, np.nan, 1, 1]), "nan is not the number of a class"),
    "infinite": (np.array([0, np.inf, 1, 1]), "inf is not the number of a class"),
    "negative": (np.array([0, -1, 1, 1]), "-1 is not the number of a class"),
    "complex": (GOOD.astype(complex), "is complex128"),
    "text": (GOOD.astype("U3"), "is <U3"),
    "more classes than images": (np.array([0, 100, 1, 1]), "has the label 100 for 12 images"),
    "none at all": (np.zeros((4, 0)), "of shape (4, 0)"),
    "one": (np.array(0), "of shape ()"),
    "too few": (GOOD[:3], "4 images and 3 labels in test"),
    "empty": (GOOD[:0], "4 images and 0 labels in test"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_labels_that_are_no_class_numbers(kind: str, tmp_path: Path) -> None:
    labels, text = WRONG[kind]
    with pytest.raises(UserError) as caught:
        list_images(write(tmp_path, labels))
    assert text in str(caught.value)


@pytest.mark.parametrize("kind", ["u1", "i8", ">i2", "f4", "?"])
def test_whole_numbers_of_any_type_are_labels(kind: str, tmp_path: Path) -> None:
    for labels in (GOOD.astype(kind), GOOD.astype(kind)[:, None]):
        images = list_images(write(tmp_path, labels))
        assert [sample.label for sample in images.samples if sample.split == "test"] == [0, 1, 1, 0]
