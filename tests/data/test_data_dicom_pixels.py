"""Pixels of DICOM files that are not plain grey: color by plane and by pixel, palettes, floating point, 32 bits."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian

from data.test_data_dicom_transforms import ROOT, V, refused, shown, table
from medrobust.data import View
from medrobust.data.files.read import read_pixels


def test_color_is_read_by_plane_and_by_pixel(dicom):
    color = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    planes = np.ascontiguousarray(color.transpose(2, 0, 1))
    path = dicom(planes.reshape(4, 6, 3), PlanarConfiguration=1)
    np.testing.assert_array_equal(read_pixels(path).values, planes)
    # PS3.3 C.7.6.3.1.2: Y 76, Cb 85, Cr 255 is pure red
    path = dicom(np.full((2, 2, 3), (76, 85, 255), np.uint8), PhotometricInterpretation="YBR_FULL")
    assert read_pixels(path).values[:, 0, 0].tolist() == [254, 0, 0]
    assert "signed color" in refused(dicom(color, PixelRepresentation=1))
    assert "rescale of color" in refused(dicom(color, RescaleSlope=2, RescaleIntercept=0))
    twelve = (np.arange(72).reshape(4, 6, 3) * 50).astype(np.uint16)
    assert shown(dicom(twelve)) == pytest.approx((twelve.transpose(2, 0, 1) / 4095).flatten().tolist(), abs=1e-6)


def test_palette_color(dicom):
    names = ("Red", "Green", "Blue")
    luts: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for k, name in enumerate(names):
        luts[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, 16]
        entries = np.array([0, 257 * 10, 65535, 1000 * (k + 1)], np.uint16)
        luts[f"{name}PaletteColorLookupTableData"] = entries.tobytes()
    path = dicom(np.array([[0, 1, 2, 3, 9]], np.uint8), **luts)
    pixels = read_pixels(path)
    assert (pixels.bits, pixels.high) == (16, 65535.0)
    assert pixels.values[:, 0].T.tolist() == [[0] * 3, [2570] * 3, [65535] * 3, [1000, 2000, 3000], [1000, 2000, 3000]]


def test_floating_point_pixels(tmp_path, dicom):
    path = dicom(V)
    data = dcmread(path)
    del data.PixelData
    data.BitsAllocated, data.FloatPixelData = 32, np.array([[0, 0.25, 0.5, 1]], np.float32).tobytes()
    data.save_as(path)
    assert shown(path) == [0, 0.25, 0.5, 1]
    data.FloatPixelData = np.array([[-3, 0.25, 0.5, 1]], np.float32).tobytes()
    data.save_as(path)
    assert "is not stated" in refused(path)
    assert shown(path, View(window=(0, 8))) == pytest.approx([0.125, 0.53125, 0.5625, 0.625])
    data.FloatPixelData = np.array([[np.nan, 0.25, 0.5, 1]], np.float32).tobytes()
    data.save_as(path)
    assert "NaN" in refused(path, View(window=(0, 8)))


def test_a_supplemental_palette_is_color_on_grey(dicom):
    tags = {f"{name}PaletteColorLookupTableDescriptor": [10, 4000, 16] for name in ("Red", "Green", "Blue")}
    assert "supplemental color palette" in refused(dicom(V, **tags))
    assert shown(dicom(V[:, :2], **tags)) == pytest.approx([0, 1000 / 4095])


def test_32_bits(dicom):
    wide = np.array([[0, 2**31, 2**32 - 1, 1]], np.uint32)
    path = dicom(wide, BitsStored=32)
    pixels = read_pixels(path)
    assert pixels.values.flatten().tolist() == wide.flatten().tolist()
    assert shown(path) == pytest.approx([0, 0.5, 1, 2**-32], abs=1e-9)


def test_tables_of_a_file_with_implicit_types(dicom):
    """There the VR of a descriptor follows from the pixel representation, and that of the data from their number."""
    signed = np.array([[-2048, -3, 0, 2047]], np.int16)
    path = dicom(signed, Modality="OT", ModalityLUTSequence=[table(np.arange(4096), first=-2048, bits=12)])
    data = dcmread(path)
    data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    data.save_as(path, implicit_vr=True, little_endian=True)
    assert shown(path) == pytest.approx([0, 2045 / 4095, 2048 / 4095, 1])
    data = dcmread(dicom(V, VOILUTSequence=[table(ROOT, bits=8)]))
    data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    data.save_as(path, implicit_vr=True, little_endian=True)
    assert shown(path) == pytest.approx([0, 126 / 255, 180 / 255, 1])
