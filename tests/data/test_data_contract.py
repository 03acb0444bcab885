"""Every kind of image set through the checks that third parties run on theirs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from data.test_data_arrays import cifar, idx, npz
from medrobust.data import ImageSet, View, open_images
from medrobust.testing import check_image_set
from medrobust.testing.image_sets import tiny_set

Open = Callable[[], ImageSet]


def both(open_set: Open) -> None:
    check_image_set(open_set(), again=open_set)


@pytest.mark.parametrize("spec", ["phantom:ct@16,count=40", "phantom:dermoscopy@16,count=40"])
def test_phantom(spec: str) -> None:
    both(lambda: open_images(spec, split="test"))


def test_folder(two_classes: Path) -> None:
    both(lambda: open_images(f"folder:{two_classes}", split="all"))
    check_image_set(open_images(f"folder:{two_classes}", split="all", view=View(5, "grey", "pad")))


def test_folder_with_images_of_different_sizes(two_classes: Path, put: Callable[..., Path]) -> None:
    put("set/a/large.png", array=np.arange(80, dtype=np.uint8).reshape(8, 10))
    check_image_set(open_images(f"folder:{two_classes}", split="all"))
    check_image_set(open_images(f"folder:{two_classes}", split="all", view=View(8)))


def test_csv_with_groups_splits_and_metadata(put: Callable[..., Path], tmp_path: Path) -> None:
    lines = ["image,label,group,split,age,sex"]
    for k in range(8):
        put(f"{k}.png", value=20 * k)
        lines.append(f"{k}.png,{'ab'[k % 2]},p{k // 4},{('train', 'test')[k // 4]},{40 + k},f")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    both(lambda: open_images(f"csv:{tmp_path / 'table.csv'}", split="all"))


def test_a_cache_on_disk(put: Callable[..., Path], tmp_path: Path) -> None:
    for k in range(64):
        put(f"many/{'ab'[k % 2]}/{k}.png", value=k)
    both(lambda: open_images(f"folder:{tmp_path / 'many'}", split="all"))


def test_a_cache_on_disk_of_floating_point(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(64):
        path = tmp_path / "volumes" / "ab"[k % 2] / f"{k}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, image=rng.random((3, 4, 5), dtype=np.float32), low=0.0, high=1.0, bits=24)
    both(lambda: open_images(f"folder:{tmp_path / 'volumes'}", split="all", view=View(None, "grey")))


def test_dicom(dicom: Callable[..., Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(4):
        dicom(rng.integers(0, 4000, (6, 5)).astype(np.uint16), f"scans/{'ab'[k % 2]}/{k}.dcm")
    both(lambda: open_images(f"folder:{tmp_path / 'scans'}", split="all", view=View(None, "grey")))


def test_sets_in_array_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for prefix, count in (("train", 12), ("t10k", 6)):
        idx(tmp_path / f"{prefix}-images-idx3-ubyte", rng.integers(0, 255, (count, 6, 6)).astype(np.uint8))
        idx(tmp_path / f"{prefix}-labels-idx1-ubyte", np.arange(count).astype(np.uint8) % 10)
    both(lambda: open_images(f"mnist:{tmp_path}", split="all"))
    cifar(tmp_path / "cifar-10-batches-bin")
    both(lambda: open_images(f"cifar10:{tmp_path}", split="all"))
    npz(tmp_path / "x.npz", (8, 8, 3))
    both(lambda: open_images(f"medmnist:{tmp_path / 'x.npz'}", split="all"))


MEMORY = {
    "floating point": torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(0)),
    "grey levels as floating point": (torch.arange(12 * 16).reshape(12, 1, 4, 4) % 256) / 255,
    "any domain": torch.linspace(-3, 200, 12 * 16).reshape(12, 1, 4, 4),
    "uint8": (torch.arange(12 * 48) % 256).to(torch.uint8).reshape(12, 3, 4, 4),
    "uint16": np.arange(12 * 27, dtype=np.uint16).reshape(12, 1, 3, 3, 3) * 190,
    "float64": np.linspace(0, 1, 12 * 9).reshape(12, 1, 9),
}


@pytest.mark.parametrize("kind", MEMORY)
def test_images_in_memory(kind: str) -> None:
    def open_set() -> ImageSet:
        return ImageSet.of(
            MEMORY[kind],
            torch.arange(12) % 3,
            groups=torch.arange(12) // 2,
            metadata={"age": np.arange(12), "sex": ["f", None] * 6, "dose": torch.linspace(0, 1, 12)},
        )

    both(open_set)
    assert type(open_set().samples[3].metadata["age"]) is int
    assert "sex" not in open_set().samples[3].metadata


def test_other_views_of_images_in_memory_show_the_same_pixels() -> None:
    levels = torch.arange(4 * 16).reshape(4, 1, 4, 4) % 256
    y = torch.tensor([0, 1, 0, 1])
    for given in (levels / 255, levels.to(torch.uint8)):
        images = ImageSet.of(given, y)
        colored = images.replace(view=View(None, "rgb"))
        assert torch.equal(colored[1][0], images[1][0].expand(3, 4, 4))
        assert colored.source(1) == images.source(1)


def test_tiny_sets() -> None:
    both(tiny_set)
    both(lambda: tiny_set(9, 3))


def test_a_second_opening_that_differs_is_found(two_classes: Path) -> None:
    images = open_images(f"folder:{two_classes}", split="all")
    named = [dataclasses.replace(s, image_id=f"{s.image_id}~{s.frame}") for s in images.samples]
    with pytest.raises(AssertionError, match="ids_name_images: ids differ in a second opening"):
        check_image_set(images, again=lambda: images.replace(samples=named))
    with pytest.raises(AssertionError, match="items_are_the_same_again: image 0 differs in a second opening"):
        check_image_set(images, again=lambda: images.replace(samples=images.samples[::-1]))
