"""The content decides what a file is: never its name, and never a header that promises more than the file holds."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from medrobust.data import View, open_images
from medrobust.data.files.kinds import kind_of
from medrobust.data.files.pixels import BrokenImageError
from medrobust.data.files.read import num_frames, read_pixels
from medrobust.errors import UserError

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d7a" * 16 + b"\nsize 12345\n"
NAMES = ("x", "x.dcm", "x.png", "x.nii.gz", "x.npz", "x.tif", "x.IMA", "x.jpg", "1.2.840.113", "x.csv")


def nifti(path: Path, **header: float) -> Path:
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    nibabel.save(image, path)
    return path


@pytest.fixture
def contents(tmp_path: Path, dicom) -> dict[str, bytes]:
    """One file of every kind, as bytes."""
    values = np.arange(24, dtype=np.uint16).reshape(2, 3, 4) * 100
    found = {"dicom": dicom(values, NumberOfFrames=2).read_bytes()}
    bare = dcmread(tmp_path / "x.dcm")
    for implicit in (True, False):
        stream = io.BytesIO()
        data = bare.copy()
        del data.file_meta
        data.save_as(stream, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
        found[f"dicom without a header, implicit={implicit}"] = stream.getvalue()
    for form in ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM"):
        stream = io.BytesIO()
        pages = [Image.fromarray(np.full((8, 8), 90 * k, np.uint8)) for k in (1, 2)]
        pages[0].save(
            stream, form, **({"save_all": True, "append_images": pages[1:]} if form in ("TIFF", "GIF") else {})
        )
        found[form] = stream.getvalue()
    for name, save in (("npy", np.save), ("npz", np.savez_compressed)):
        stream = io.BytesIO()
        save(stream, values)
        found[name] = stream.getvalue()
    found["nii"] = nifti(tmp_path / "v.nii").read_bytes()
    found["nii.gz"] = nifti(tmp_path / "v.nii.gz").read_bytes()
    return found


def test_a_name_changes_nothing(tmp_path, contents):
    frames = {"dicom": 2, "TIFF": 2, "GIF": 2}
    for kind, content in contents.items():
        expected = None
        for name in NAMES:
            path = tmp_path / name
            path.write_bytes(content)
            count = num_frames(path)
            assert count == frames.get(kind.split()[0], 1), (kind, name)
            pixels = read_pixels(path, 0 if count > 1 else -1)
            expected = expected or pixels
            np.testing.assert_array_equal(pixels.values, expected.values, err_msg=f"{kind} as {name}")
            assert (pixels.bits, pixels.low, pixels.high) == (expected.bits, expected.low, expected.high)


@pytest.mark.parametrize("suffix", [".dcm", "", ".IMA"])
def test_frames_of_a_dicom_file_do_not_depend_on_its_suffix(tmp_path, dicom, suffix):
    frames = np.arange(24, dtype=np.uint16).reshape(2, 3, 4) * 100
    for label in "ab":
        for k in range(3):
            dicom(frames + k, f"set/{label}/IM000{k}{suffix}", NumberOfFrames=2)
    images = open_images(f"folder:{tmp_path / 'set'}", view=View(color="grey"))
    assert len(images) == 12
    assert images[0][0].shape == (1, 3, 4)
    assert images.samples[1].image_id == f"a/IM0000{suffix}#1"


def test_names_that_say_something_else_than_the_content(tmp_path):
    for name in ("x.dcm", "x.nii", "x.npy", "x.tif"):
        (tmp_path / name).write_bytes(b"just some text, which is no image at all\n" * 20)
        with pytest.raises(BrokenImageError, match="not an image"):
            read_pixels(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty file"),
        (POINTER, "a Git LFS pointer, not the file itself: run git lfs pull"),
        (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "a web page, not an image"),
        (b"\x1f\x8b" + b"\0" * 40, "without a NIfTI volume"),
    ],
)
def test_what_is_known_to_be_no_image_is_named(tmp_path, content, words):
    for name in ("x.png", "x.npz", "x.nii.gz", "x.dcm"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BrokenImageError, match=words):
            read_pixels(tmp_path / name)


def test_pointers_among_images_and_in_place_of_tables(tmp_path, two_classes, fails):
    (two_classes / "a" / "2.png").write_bytes(POINTER)
    text = fails(f"folder:{two_classes}")
    assert "a/2.png: cannot be read: a Git LFS pointer" in text
    assert "git lfs pull" in text
    (tmp_path / "t.csv").write_bytes(POINTER)
    assert "a Git LFS pointer" in fails(f"csv:{tmp_path / 't.csv'}")
    (tmp_path / "set.npz").write_bytes(POINTER)
    assert "a Git LFS pointer" in fails(f"medmnist:{tmp_path / 'set.npz'}")
    for prefix in ("train", "t10k"):
        for part in ("images-idx3-ubyte", "labels-idx1-ubyte"):
            (tmp_path / f"{prefix}-{part}").write_bytes(POINTER)
    assert "a Git LFS pointer" in fails(f"mnist:{tmp_path}")


def test_what_is_no_file(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    for name, words in (
        ("folder.png", "a folder, not a file"), ("link.png", "a link to a file that is not there"),
        ("self.png", "symbolic links"), ("none.png", "no such file"),
    ):  # fmt: skip
        with pytest.raises(BrokenImageError, match=words):
            read_pixels(tmp_path / name)
        assert num_frames(tmp_path / name) == 1


def png_header(width: int, height: int) -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    end = b"IDAT" + zlib.compress(b"\0" * 100)
    chunks = [
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in (head, end, b"IEND")
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def npy_header(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def npz_of(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("image.npy", content)
    return stream.getvalue()


def bombs(tmp_path: Path, dicom) -> dict[str, bytes]:
    found = {
        "png": png_header(60000, 60000),
        "pgm": b"P5\n60000 60000\n255\n" + b"\0" * 100,
        "pgm plain": b"P2\n60000 60000\n255\n1 2 3",
        "npy": npy_header((70000, 70000)) + b"\0" * 100,
        "npz": npz_of(npy_header((70000, 70000)) + b"\0" * 100),
        "npz short": npz_of(npy_header((5000, 5000)) + b"\0" * 100),
        "npy short": npy_header((5000, 5000)) + b"\0" * 100,
        "npy negative": npy_header((-5, 5)) + b"\0" * 100,
    }
    path = dicom(np.zeros((2, 2), np.uint16))
    for name, tags in (("large", {"Rows": 65535, "Columns": 65535}), ("many", {"NumberOfFrames": 10**9})):
        data = dcmread(path)
        for tag, value in tags.items():
            setattr(data, tag, value)
        stream = io.BytesIO()
        data.save_as(stream)
        found[f"dicom {name}"] = stream.getvalue()
    del data.PixelData
    data.Rows, data.Columns = 65535, 65535
    stream = io.BytesIO()
    data.save_as(stream)
    found["dicom without pixels"] = stream.getvalue()
    head = bytearray(nifti(tmp_path / "v.nii").read_bytes())
    struct.pack_into("<8h", head, 40, 3, 30000, 30000, 30000, 1, 1, 1, 1)
    found["nii"] = bytes(head)
    gif = io.BytesIO()
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(gif, "GIF")
    wide = bytearray(gif.getvalue())
    struct.pack_into("<HH", wide, 6, 65535, 65535)
    found["gif"] = bytes(wide)
    return found


def test_headers_that_promise_too_much_cost_nothing(tmp_path, dicom):
    for name, content in bombs(tmp_path, dicom).items():
        path = tmp_path / "bomb"
        path.write_bytes(content)
        read_pixels(nifti(tmp_path / "warm.nii"))
        tracemalloc.start()
        with pytest.raises(BrokenImageError) as error:
            read_pixels(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**23, name
        assert "\n" not in str(error.value), name


def test_truncated_files_are_broken_or_whole(tmp_path, contents):
    """What is left of a file is never shown as if it were the image."""
    for kind, content in contents.items():
        path = tmp_path / "cut"
        path.write_bytes(content)
        frame = 0 if num_frames(path) > 1 else -1
        whole = read_pixels(path, frame).values
        for length in {
            *np.linspace(0, len(content) - 1, 25).astype(int).tolist(),
            *range(len(content) - 8, len(content)),
        }:
            path.write_bytes(content[:length])
            try:
                found = read_pixels(path, frame).values
            except BrokenImageError:
                continue
            np.testing.assert_array_equal(found, whole, err_msg=f"{kind} cut to {length} of {len(content)}")


def test_arrays_that_can_be_read_in_two_ways(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((3, 20, 24), np.uint8))  # as PyTorch stores color, or three planes
    with pytest.raises(BrokenImageError, match="a color plane or a volume"):
        read_pixels(tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 5, 7), np.uint8))
    assert read_pixels(tmp_path / "x.npy").values.shape == (1, 3, 5, 7)
    for facts in ({"low": 5.0, "high": 1.0}, {"low": 0.0, "high": np.nan}, {"low": 0.0, "high": 1.0, "bits": 99}):
        np.savez(tmp_path / "x.npz", image=np.zeros((5, 7), np.int16), **facts)
        with pytest.raises(BrokenImageError, match="no range of values"):
            read_pixels(tmp_path / "x.npz")


def test_rows_of_a_set_in_one_file_have_the_range_of_their_type(tmp_path):
    arrays = {}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = np.full((4, 5, 7), 6553, np.uint16)
        arrays[f"{split}_labels"] = np.arange(4) % 2
    np.savez(tmp_path / "deep.npz", **arrays)
    images = open_images(f"medmnist:{tmp_path / 'deep.npz'}", view=View(color="grey"))
    assert float(images[0][0].mean()) == pytest.approx(6553 / 65535)
    arrays = {name: array.astype(np.int32) if "images" in name else array for name, array in arrays.items()}
    np.savez(tmp_path / "wide.npz", **arrays)
    with pytest.raises(UserError, match="range of its values"):
        open_images(f"medmnist:{tmp_path / 'wide.npz'}")


@pytest.mark.parametrize(("slope", "inter"), [(2.0, -100.0), (-1.0, 255.0)])
def test_nifti_bytes_have_the_range_of_their_slope(tmp_path, slope, inter):
    nibabel = pytest.importorskip("nibabel")
    stored = np.array([[0, 100], [255, 0]], np.uint8)
    image = nibabel.Nifti1Image(stored, np.eye(4))
    nibabel.save(image, tmp_path / "v.nii")
    head = bytearray((tmp_path / "v.nii").read_bytes())
    struct.pack_into("<ff", head, 112, slope, inter)
    (tmp_path / "v.nii").write_bytes(bytes(head))
    pixels = read_pixels(tmp_path / "v.nii")
    assert pixels.values[0].T.flatten().tolist() == [inter, 100 * slope + inter, 255 * slope + inter, inter]
    assert (pixels.low, pixels.high) == tuple(sorted((inter, 255 * slope + inter)))
    assert (pixels.step, pixels.bits) == (abs(slope), 8)


def test_half_a_pair_of_nifti(tmp_path):
    head = bytearray(nifti(tmp_path / "v.nii").read_bytes())
    head[344:348] = b"ni1\0"
    (tmp_path / "v.hdr").write_bytes(bytes(head[:348]))
    assert kind_of(tmp_path / "v.hdr") == "nifti"
    with pytest.raises(BrokenImageError, match="header of a NIfTI pair"):
        read_pixels(tmp_path / "v.hdr")
