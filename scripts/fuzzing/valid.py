"""Valid files of every kind that medrobust reads, small and made in a moment."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

SIDE, PER_CLASS, CLASSES = 32, 8, ("benign", "malignant")
NETWORK = "zoo:cbr_tiny(width=4)"
HAS_ONNX = find_spec("onnx2torch") is not None  # medrobust[onnx]; without it there are no such cases


def pixels(seed: int, label: int, dtype: type = np.uint8) -> np.ndarray:
    """(SIDE, SIDE): noise, brighter for the second class."""
    rng = np.random.default_rng(seed)
    scale = 1 if dtype is np.uint8 else 200
    return (rng.integers(20, 120, (SIDE, SIDE)) + 80 * label).astype(dtype) * dtype(scale)


def save_picture(path: Path, values: np.ndarray, **options: Any) -> None:
    from PIL import Image

    Image.fromarray(values).save(path, **options)


def save_dicom(path: Path, values: np.ndarray) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = (
        f"1.2.826.0.1.3680043.8.498.{zlib.crc32(path.name.encode())}"
    )
    data.Modality, data.PatientName, data.PatientID = "CT", "MUELLER^Hans", "P1"
    data.Rows, data.Columns = values.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    data.RescaleSlope, data.RescaleIntercept, data.WindowCenter, data.WindowWidth = "1", "-1024", "10000", "30000"
    data.PixelData = values.astype("<i2").tobytes()
    data.save_as(path, enforce_file_format=True)


def save_nifti(path: Path, values: np.ndarray) -> None:
    import nibabel

    image = nibabel.Nifti1Image(values[..., None].astype(np.int16), np.eye(4))
    image.header["cal_min"], image.header["cal_max"] = 0, 40000
    content = image.to_bytes()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


WRITERS: dict[str, Callable[[Path, int, int], None]] = {
    ".png": lambda path, seed, label: save_picture(path, pixels(seed, label)),
    ".jpg": lambda path, seed, label: save_picture(path, np.stack([pixels(seed + c, label) for c in range(3)], 2)),
    ".tiff": lambda path, seed, label: save_picture(path, pixels(seed, label, np.uint16), compression="tiff_lzw"),
    ".pgm": lambda path, seed, label: save_picture(path, pixels(seed, label)),
    ".gif": lambda path, seed, label: save_picture(path, pixels(seed, label)),
    ".npy": lambda path, seed, label: np.save(path, pixels(seed, label)),
    ".dcm": lambda path, seed, label: save_dicom(path, pixels(seed, label, np.uint16)),
    ".nii": lambda path, seed, label: save_nifti(path, pixels(seed, label, np.uint16)),
    ".nii.gz": lambda path, seed, label: save_nifti(path, pixels(seed, label, np.uint16)),
}


def class_folders(folder: Path, suffix: str = ".png") -> Path:
    """A folder of images for each class."""
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for i in range(PER_CLASS):
            WRITERS[suffix](folder / name / f"{i}{suffix}", 10 * i + label, label)
    return folder


def table(folder: Path, *, split: bool = True) -> Path:
    """A CSV beside class folders, with groups, metadata and splits."""
    class_folders(folder / "images")
    lines = ["image,label,group,age" + (",split" if split else "")]
    for name in CLASSES:
        for i in range(PER_CLASS):
            part = ("train", "train", "val", "test")[i % 4]
            lines.append(f"images/{name}/{i}.png,{name},p{i}{name[0]},{40 + i}" + (f",{part}" if split else ""))
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return folder / "table.csv"


def split_table(folder: Path) -> Path:
    """Class folders and a CSV that says the split of each image."""
    class_folders(folder / "images")
    rows = [f"{n}/{i}.png,{('train', 'train', 'val', 'test')[i % 4]}" for n in CLASSES for i in range(PER_CLASS)]
    (folder / "splits.csv").write_text("\n".join(["image_id,split", *rows]) + "\n")
    return folder / "splits.csv"


def npz(path: Path) -> Path:
    """A file as MedMNIST writes it."""
    arrays = {}
    for part in ("train", "val", "test"):
        labels = np.arange(8) % 2
        arrays[f"{part}_images"] = np.stack([pixels(i, int(label)) for i, label in enumerate(labels)])
        arrays[f"{part}_labels"] = labels[:, None].astype(np.uint8)
    np.savez(path, **arrays)
    return path


def network() -> Any:
    import torch

    from medrobust.models.zoo import build_network

    torch.manual_seed(0)
    return build_network(NETWORK, num_classes=2, in_channels=1).eval()


def weights(folder: Path) -> None:
    """Weights of NETWORK in three wrappings, and a run of ONNX of a smaller one."""
    import torch
    from safetensors.torch import save_file

    state = network().state_dict()
    save_file(state, folder / "net.safetensors")
    torch.save(state, folder / "net.pt")
    torch.save({"state_dict": {f"model.{key}": value for key, value in state.items()}, "epoch": 3}, folder / "lit.ckpt")


def onnx(path: Path) -> None:
    """A linear classifier of one grey plane as ONNX."""
    from onnx import TensorProto, helper, numpy_helper, save_model

    matrix = np.random.default_rng(0).normal(size=(SIDE * SIDE, 2)).astype(np.float32)
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Gemm", ["f", "w"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(matrix, "w")],
    )
    save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def checkpoint(folder: Path) -> Path:
    """A checkpoint of ours with its card."""
    from medrobust.models.checkpoint import save_checkpoint
    from medrobust.models.classifier import Classifier

    model = Classifier(network(), classes=CLASSES, channels=1, spec=NETWORK, input_size=SIDE)
    save_checkpoint(folder, model.eval())
    return folder


AUDIT_RECIPE = {
    "model": {"name": "model"},
    "data": {"name": "folder:images", "split": "all"},
    "attacks": {"fgsm": {}},
    "threat": {"norm": "linf", "epsilons": ["4/255"]},
    "device": "cpu",
    "seed": 0,
}
TRAIN_RECIPE = {
    "model": NETWORK,
    "data": {"name": "folder:images", "seed": 1},
    "objective": {"name": "adversarial"},
    "attack": {"name": "pgd", "num_steps": 1},
    "threat": {"epsilon": "2/255"},
    "epochs": 1,
    "batch_size": 4,
    "device": "cpu",
}


def write_yaml(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content, indent=1))  # JSON is YAML
    return path


def everything(folder: Path) -> None:
    """All of the above, once: cases copy from here."""
    for suffix in WRITERS:
        class_folders(folder / f"images{suffix}", suffix)
    table(folder / "table")
    split_table(folder / "splits")
    npz(folder / "set.npz")
    (folder / "weights").mkdir()
    weights(folder / "weights")
    if HAS_ONNX:
        onnx(folder / "net.onnx")
    checkpoint(folder / "model")
