"""Small images in the layouts that data sets are distributed in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medrobust.data import open_images
from medrobust.errors import UserError


@pytest.fixture(autouse=True)
def cache_root(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    root = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("MEDROBUST_CACHE", str(root))
    return root


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """put("a/b.png", value=7) writes a gray 6x4 image below tmp_path, put(..., array=a) the array as it is."""

    def write(name: str, value: int = 128, array: np.ndarray | None = None, **options: object) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((4, 6), value, dtype=np.uint8) if array is None else array
        Image.fromarray(pixels).save(path, **options)
        return path

    return write


@pytest.fixture
def dicom(tmp_path: Path) -> Callable[..., Path]:
    """dicom(array, "a/b.dcm", Tag=value ...) writes a DICOM file below tmp_path."""

    def write(array: np.ndarray, name: str = "x.dcm", **tags: object) -> Path:
        from pydicom.dataset import FileDataset, FileMetaDataset
        from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = tags.get("SOPInstanceUID", generate_uid())
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        color = array.ndim > 2 and array.shape[-1] == 3
        data.Rows, data.Columns = array.shape[-3:-1] if color else array.shape[-2:]
        data.SamplesPerPixel, data.PhotometricInterpretation = (3, "RGB") if color else (1, "MONOCHROME2")
        if color:
            data.PlanarConfiguration = 0
        data.BitsAllocated = array.dtype.itemsize * 8
        data.BitsStored = 12 if array.dtype.itemsize == 2 else 8
        data.PixelRepresentation = int(array.dtype.kind == "i")
        for tag, value in tags.items():
            setattr(data, tag, value)
        data.HighBit = tags.get("HighBit", data.BitsStored - 1)
        data.PixelData = array.tobytes()
        data.save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def fails() -> Callable[..., str]:
    """fails(spec, **options): open_images ends in a UserError; returns its one line."""

    def call(spec: str, **options: object) -> str:
        with pytest.raises(UserError) as error:
            open_images(spec, **options)
        assert "\n" not in str(error.value)
        return str(error.value)

    return call


@pytest.fixture
def two_classes(put: Callable[..., Path], tmp_path: Path) -> Path:
    """A folder with classes a and b of four images each; values tell them apart."""
    for label, name in enumerate("ab"):
        for k in range(4):
            put(f"set/{name}/{k}.png", value=100 * label + k)
    return tmp_path / "set"
