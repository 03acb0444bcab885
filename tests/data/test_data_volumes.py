"""NIfTI, NumPy files, multi-frame files and 3-D views."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from medrobust.data import View, batches, open_images
from medrobust.data.files.pixels import BrokenImageError
from medrobust.data.files.read import num_frames, read_pixels
from medrobust.data.images.view import to_unit

VOLUME = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)  # x, y, z as NIfTI stores it


def nifti(path, array, affine=None, **header):
    nibabel = pytest.importorskip("nibabel", reason="NIfTI needs the extra nifti")
    image = nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine)
    for key, value in header.items():
        image.header[key] = value
    nibabel.save(image, path)
    return path


def test_nifti_volume_is_z_y_x_and_needs_a_range(tmp_path):
    path = nifti(tmp_path / "v.nii.gz", VOLUME)
    pixels = read_pixels(path)
    assert pixels.values.shape == (1, 6, 5, 4)
    assert pixels.values[0, 5, 4, 3] == VOLUME[3, 4, 5]
    with pytest.raises(BrokenImageError, match="range of its values"):
        to_unit(pixels, View())
    unit, source = to_unit(pixels, View(scale="image"))
    assert (source.low, source.high) == (0.0, 119.0)
    torch.testing.assert_close(unit[0, 5, 4], torch.from_numpy(VOLUME[:, 4, 5] / np.float32(119)))
    assert float(to_unit(pixels, View(window=(60, 120)))[0].max()) == pytest.approx(119 / 120)


def test_nifti_slice_header_range_and_orientation(tmp_path):
    path = nifti(tmp_path / "v.nii", VOLUME, cal_min=0, cal_max=200)
    plane = read_pixels(path, 2)
    assert (plane.low, plane.high) == (0.0, 200.0)
    np.testing.assert_array_equal(plane.values[0], VOLUME[:, :, 2].T)
    flipped = nifti(tmp_path / "f.nii", VOLUME, affine=np.diag([-1.0, 1, 1, 1]), cal_max=200)
    np.testing.assert_array_equal(read_pixels(flipped).values[0], VOLUME[::-1].T)
    (tmp_path / "f.nii").write_bytes(b"\0" * 500)
    with pytest.raises(BrokenImageError):
        read_pixels(tmp_path / "f.nii")


@pytest.mark.parametrize(
    ("array", "shape", "bits", "high"),
    [
        (np.full((4, 6), 7, np.uint8), (1, 4, 6), 8, 255.0),
        (np.full((4, 6, 3), 7, np.uint8), (3, 4, 6), 8, 255.0),
        (np.full((5, 4, 6), 7, np.uint16), (1, 5, 4, 6), 16, 65535.0),
        (np.full((1, 5, 4, 6), 0.5, np.float32), (1, 5, 4, 6), 16, 1.0),
        (np.ones((4, 6), bool), (1, 4, 6), 8, 255.0),
    ],
)
def test_arrays(tmp_path, array, shape, bits, high):
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", image=array, other=np.zeros(2))
    for name in ("x.npy", "x.npz"):
        pixels = read_pixels(tmp_path / name)
        assert (pixels.values.shape, pixels.bits, pixels.high) == (shape, bits, high)


def test_arrays_with_their_range_in_the_file(tmp_path):
    np.savez(tmp_path / "x.npz", image=np.array([[-1000, 400]], np.int16), low=-1000.0, high=400.0, bits=12, unit="HU")
    pixels = read_pixels(tmp_path / "x.npz")
    assert (pixels.low, pixels.high, pixels.bits, pixels.unit) == (-1000.0, 400.0, 12, "HU")
    assert to_unit(pixels, View())[0].flatten().tolist() == [0.0, 1.0]


def test_arrays_that_are_no_images(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(5))
    np.savez(tmp_path / "b.npz", x=np.zeros((2, 2)), y=np.zeros((2, 2)))
    np.save(tmp_path / "c.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    for name, text in (("a.npy", "shape"), ("b.npz", "no array 'image'"), ("c.npy", "pickle")):
        with pytest.raises(BrokenImageError, match=text):
            read_pixels(tmp_path / name)


def test_folder_of_volumes(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        for k in range(2):
            np.savez(tmp_path / label / f"{k}.npz", image=np.full((6, 4, 5), 10 * k, np.uint8))
    images = open_images(f"folder:{tmp_path}", view=View(8, "grey", "pad"))
    (batch,) = batches(images, 4)
    assert batch.x.shape == (4, 1, 8, 8, 8)


def test_frames_of_a_tiff_are_images_of_one_group(tmp_path, put):
    frames = [Image.fromarray(np.full((4, 6), 20 * k, np.uint8)) for k in range(3)]
    (tmp_path / "a").mkdir()
    frames[0].save(tmp_path / "a" / "cine.tif", save_all=True, append_images=frames[1:])
    put("b/0.png")
    assert num_frames(tmp_path / "a" / "cine.tif") == 3
    images = open_images(f"folder:{tmp_path}", view=View(color="grey"))
    assert [s.image_id for s in images.samples] == ["a/cine.tif#0", "a/cine.tif#1", "a/cine.tif#2", "b/0.png"]
    assert set(images.groups) == {"a/cine.tif", "b/0.png"}
    assert [round(float(images[i][0].mean()) * 255) for i in range(3)] == [0, 20, 40]


def test_a_table_may_name_frames(tmp_path, fails):
    np.save(tmp_path / "v.npy", np.stack([np.full((4, 6), 20 * k, np.uint8) for k in range(3)]))
    (tmp_path / "t.csv").write_text("image,label,frame\nv.npy,a,0\nv.npy,b,2\n")
    images = open_images(f"csv:{tmp_path / 't.csv'}", view=View(color="grey"))
    assert [s.image_id for s in images.samples] == ["v.npy#0", "v.npy#2"]
    assert images.groups == ("v.npy", "v.npy")
    assert [round(float(images[i][0].mean()) * 255) for i in range(2)] == [0, 40]
    (tmp_path / "t.csv").write_text("image,label,frame\nv.npy,a,0\nv.npy,b,9\n")
    assert "v.npy: cannot be read: index 9 is out of bounds" in fails(f"csv:{tmp_path / 't.csv'}")
    (tmp_path / "t.csv").write_text("image,label,frame\nv.npy,a,x\n,b,1\n")
    assert "frame 'x' is not a whole number" in fails(f"csv:{tmp_path / 't.csv'}")
