"""mnist:, cifar10: and medmnist: from files that the test writes in their formats."""

from __future__ import annotations

import gzip
import hashlib
import struct
import sys
import types
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from medrobust.data import ImageSet, View, open_images

GREY = View(color="grey")
RNG = np.random.default_rng(0)


def idx(path: Path, array: np.ndarray) -> None:
    content = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture(params=["", ".gz"])
def mnist(tmp_path, request) -> Path:
    for prefix, count in (("train", 30), ("t10k", 10)):
        idx(
            tmp_path / f"{prefix}-images-idx3-ubyte{request.param}",
            RNG.integers(0, 255, (count, 28, 28)).astype(np.uint8),
        )
        idx(tmp_path / f"{prefix}-labels-idx1-ubyte{request.param}", np.arange(count).astype(np.uint8) % 10)
    return tmp_path


def test_mnist(mnist, fails):
    images = open_images(f"mnist:{mnist}", split="all", view=GREY)
    assert Counter(s.split for s in images.samples) == {"train": 30, "test": 10}
    assert images.labels[:12].tolist() == [*range(10), 0, 1]
    assert images.samples[31].image_id == "test/00001"
    file = next(mnist.glob("t10k-images*"))
    content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    expected = np.frombuffer(content[16:], np.uint8).reshape(-1, 28, 28)[1] / np.float32(255)
    np.testing.assert_allclose(images[31][0][0].numpy(), expected, atol=1e-7)
    assert len(open_images(f"mnist:{mnist}")) == 10
    file.write_bytes(file.read_bytes()[:-9])
    assert file.name in fails(f"mnist:{mnist}")
    file.unlink()
    assert "no t10k-images-idx3-ubyte" in fails(f"mnist:{mnist}")


def test_mnist_in_raw_with_wrong_counts(tmp_path, fails):
    for prefix in ("train", "t10k"):
        idx(tmp_path / "MNIST" / "raw" / f"{prefix}-images-idx3-ubyte", np.zeros((3, 28, 28), np.uint8))
        idx(tmp_path / "MNIST" / "raw" / f"{prefix}-labels-idx1-ubyte", np.zeros(2, np.uint8))
    assert "3 images and 2 labels" in fails(f"mnist:{tmp_path}")


def cifar(folder: Path, label: int = 9) -> np.ndarray:
    folder.mkdir(parents=True)
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        records = RNG.integers(0, 255, (4, 3073)).astype(np.uint8)
        records[:, 0] = (0, 1, 2, label)
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return records


def test_cifar10_binary(tmp_path, fails):
    last = cifar(tmp_path / "cifar-10-batches-bin")
    images = open_images(f"cifar10:{tmp_path}", split="all")
    assert Counter(s.split for s in images.samples) == {"train": 20, "test": 4}
    assert images.classes[images.samples[-1].label] == "truck"
    np.testing.assert_allclose(images[21][0].numpy(), last[1, 1:].reshape(3, 32, 32) / np.float32(255), atol=1e-7)
    assert images.samples[21].image_id == "test_batch/00001"
    file = tmp_path / "cifar-10-batches-bin" / "data_batch_2.bin"
    file.write_bytes(file.read_bytes()[:-1])
    assert "whole number of 3073-byte records" in fails(f"cifar10:{tmp_path}")
    file.unlink()
    assert "data_batch_2.bin: no such file" in fails(f"cifar10:{tmp_path}")


def test_cifar10_wrong_label_and_pickles(tmp_path, fails):
    cifar(tmp_path / "a", label=10)
    assert "label 10 of image 3" in fails(f"cifar10:{tmp_path / 'a'}")
    (tmp_path / "cifar-10-batches-py").mkdir()
    assert "pickled" in fails(f"cifar10:{tmp_path}")


def test_cifar10_folders(put, tmp_path):
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    for split in ("train", "test"):
        for label, name in enumerate(classes):
            put(f"{split}/{name}/0001.png", value=label)
    images = open_images(f"cifar10:{tmp_path}", view=GREY)
    assert images.classes == classes
    assert [round(float(images[i][0].mean()) * 255) for i in range(10)] == list(range(10))


def npz(path: Path, shape: tuple[int, ...], classes: int = 2, labels: int = 1) -> dict[str, np.ndarray]:
    arrays = {}
    for split, count in (("train", 8), ("val", 4), ("test", 6)):
        arrays[f"{split}_images"] = RNG.integers(0, 255, (count, *shape)).astype(np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count * labels).reshape(count, labels) % classes).astype(np.uint8)
    np.savez_compressed(path, **arrays)
    return arrays


@pytest.fixture
def package(monkeypatch):
    """A stand-in for the medmnist package: its table of names, addresses and checksums."""

    def install(**table: dict) -> None:
        info = types.ModuleType("medmnist.info")
        info.INFO = table
        monkeypatch.setitem(sys.modules, "medmnist", types.ModuleType("medmnist"))
        monkeypatch.setitem(sys.modules, "medmnist.info", info)

    install()
    return install


@pytest.mark.parametrize(
    ("shape", "view"), [((28, 28), (1, 28, 28)), ((28, 28, 3), (3, 28, 28)), ((8, 8, 8), (1, 8, 8, 8))]
)
def test_medmnist_file(tmp_path, package, shape, view):
    arrays = npz(tmp_path / "x.npz", shape)
    images = open_images(f"medmnist:{tmp_path / 'x.npz'}", view=View(color="rgb" if view[0] == 3 else "grey"))
    assert images.classes == ("0", "1")
    assert len(images) == 6
    assert images.samples[3].image_id == "test/000003"
    expected = arrays["test_images"][3] / np.float32(255)
    expected = expected.transpose(2, 0, 1) if view[0] == 3 else expected[None]
    np.testing.assert_allclose(images[3][0].numpy(), expected, atol=1e-7)
    everything = open_images(f"medmnist:{tmp_path / 'x.npz'}", split="all")
    assert Counter(s.split for s in everything.samples) == {"train": 8, "val": 4, "test": 6}


def test_medmnist_names_classes_from_the_package(tmp_path, package, monkeypatch, fails):
    npz(tmp_path / "breastmnist_64.npz", (64, 64))
    checksum = hashlib.md5((tmp_path / "breastmnist_64.npz").read_bytes()).hexdigest()
    labels = {"0": "malignant", "1": "normal, benign"}
    address = (tmp_path / "elsewhere.npz").as_uri()
    package(
        breastmnist={
            "label": labels,
            "url": address,
            "MD5": "0",
            "url_64": address,
            "MD5_64": checksum,
            "license": "CC BY 4.0",
        }
    )
    monkeypatch.setenv("MEDMNIST_ROOT", str(tmp_path))
    images = open_images("medmnist:breastmnist@64")
    assert images.classes == ("malignant", "normal, benign")
    assert images.positive_index == 0
    assert images.name == "breastmnist_64"
    assert "did you mean 'breastmnist'" in fails("medmnist:brestmnist").lower()
    assert "no size '65'" in fails("medmnist:breastmnist@65")
    assert "breastmnist has no size 128" in fails("medmnist:breastmnist@128")
    assert "cannot be downloaded" in fails("medmnist:breastmnist")


def test_medmnist_without_package_or_path(tmp_path, monkeypatch, fails):
    monkeypatch.setitem(sys.modules, "medmnist", None)
    monkeypatch.setenv("MEDMNIST_ROOT", str(tmp_path))
    assert "pip install 'medrobust[medmnist]'" in fails("medmnist:breastmnist")
    npz(tmp_path / "breastmnist.npz", (28, 28))
    assert len(open_images("medmnist:breastmnist")) == 6
    assert "no path given" in fails("medmnist:")
    assert "no such file" in fails(f"medmnist:{tmp_path}/nowhere.npz")


def test_medmnist_multi_label_asks_for_a_finding(tmp_path, package, fails):
    arrays = npz(tmp_path / "chestmnist.npz", (28, 28), labels=3)
    package(chestmnist={"label": {"0": "atelectasis", "1": "edema", "2": "hernia"}})
    spec = f"medmnist:{tmp_path / 'chestmnist.npz'}"
    assert "3 labels per image. Choose one with data.options.finding=NAME: atelectasis, edema, hernia" in fails(spec)
    assert "unknown finding 'oedema'. Did you mean 'edema'?" in fails(spec, finding="oedema")
    images = open_images(spec, finding="edema")
    assert images.classes == ("no edema", "edema")
    assert images.labels.tolist() == arrays["test_labels"][:, 1].tolist()
    assert images.positive_index == 1


def test_medmnist_damaged_file(tmp_path, package, fails):
    (tmp_path / "x.npz").write_bytes(b"PK damaged")
    assert "cannot be read" in fails(f"medmnist:{tmp_path / 'x.npz'}")
    np.savez(tmp_path / "y.npz", train_images=np.zeros((2, 4, 4), np.uint8))
    assert "train_labels" in fails(f"medmnist:{tmp_path / 'y.npz'}")


def test_images_of_no_group_are_groups_of_their_own() -> None:
    """Data frames write NaN where a patient is unknown: these images are not one patient."""
    groups = ["p1", float("nan"), None, "", "p1", float("nan")]
    images = ImageSet.of(torch.rand(6, 1, 4, 4), [0, 1] * 3, groups=groups)
    assert images.groups == ("p1", "000001", "000002", "000003", "p1", "000005")
