"""Nodule crops from CT series and annotations that the test writes in the layout of TCIA."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medrobust.data import View, open_images
from medrobust.data.prepare.lidc import prepare_lidc
from medrobust.data.sets.lesions import lesion_masks
from medrobust.errors import UserError

ROW, COLUMN, GAP = 0.8, 0.5, 2.5  # mm between rows, columns and slices
SIDE, DEPTH = 64, 9


def hounsfield(x: float | np.ndarray, y: float | np.ndarray, z: float | np.ndarray) -> np.ndarray:
    """A ramp in mm: interpolation between its samples is exact, so every value of a crop is known."""
    return np.asarray(-1000 + 8 * x + 4 * y + 6 * (z + 100))


def circle(x: float, y: float, radius: float) -> list[tuple[int, int]]:
    """Outline in pixels around (column, row); radius in pixels."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return [(round(x + radius * np.cos(a)), round(y + radius * np.sin(a))) for a in angles]


def roi(uid: str, points: list[tuple[int, int]], inclusion: str = "TRUE") -> str:
    edges = "".join(f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in points)
    return f"<roi><imageSOP_UID>{uid}</imageSOP_UID><inclusion>{inclusion}</inclusion>{edges}</roi>"


def nodule(rating: int | None, rois: str) -> str:
    rated = (
        f"<characteristics><subtlety>4</subtlety><malignancy>{rating}</malignancy></characteristics>" if rating else ""
    )
    return f"<unblindedReadNodule><noduleID>1</noduleID>{rated}{rois}</unblindedReadNodule>"


@pytest.fixture
def scan(dicom, tmp_path: Path) -> Callable[..., Path]:
    """scan("0001", [session, ...]): a CT series of the ramp and its XML; a session is the text of its nodules."""

    def write(number: str, sessions: list[str]) -> Path:
        series = f"1.2.826.{int(number)}"
        folder = f"LIDC-IDRI/LIDC-IDRI-{number}/01-01-2000-30178/3000566.000000-03192"
        y, x = np.mgrid[:SIDE, :SIDE]
        for k in range(DEPTH):
            height = -100 + GAP * k
            stored = np.round(hounsfield(x * COLUMN, y * ROW, height) + 1024).astype(np.uint16)
            dicom(
                stored,
                f"{folder}/1-{DEPTH - k:02d}.dcm",
                SOPInstanceUID=f"{series}.{k + 1}",
                SeriesInstanceUID=series,
                PatientID=f"LIDC-IDRI-{number}",
                Modality="CT",
                RescaleSlope=1,
                RescaleIntercept=-1024,
                PixelSpacing=[ROW, COLUMN],
                ImagePositionPatient=[0, 0, height],
            )
        text = "".join(f"<readingSession>{session}</readingSession>" for session in sessions)
        header = f"<ResponseHeader><SeriesInstanceUid>{series}</SeriesInstanceUid></ResponseHeader>"
        path = tmp_path / folder / "069.xml"
        path.write_text(f'<LidcReadMessage xmlns="http://www.nih.gov">{header}{text}</LidcReadMessage>')
        return tmp_path / "LIDC-IDRI"

    return write


def big(number: int, rating: int, shift: int = 0) -> str:
    """A nodule around column 24, row 30, largest in slice 4 (index 3)."""
    uid = f"1.2.826.{number}"
    radii = {3: 6, 4: 10, 5: 7}
    return nodule(rating, "".join(roi(f"{uid}.{k}", circle(24 + shift, 30, r)) for k, r in radii.items()))


def small(number: int, rating: int) -> str:
    return nodule(rating, roi(f"1.2.826.{number}.7", circle(50, 12, 4)))


@pytest.fixture
def root(scan) -> Path:
    dot = nodule(None, roi("1.2.826.1.2", [(5, 5)]))  # under 3 mm: a point without ratings
    scan("0001", [big(1, 5) + small(1, 1) + dot, big(1, 4), big(1, 5, shift=1), small(1, 2)])
    return scan("0002", [big(2, 3), big(2, 3), nodule(2, roi("1.2.826.2.5", circle(40, 40, 5)))])


def table(out: Path) -> list[dict[str, str]]:
    with open(out / "nodules.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_one_crop_a_nodule_with_its_consensus(root, tmp_path):
    counts = prepare_lidc(root, tmp_path / "out")
    expected = {"series": 2, "nodules": 3, "malignant": 1, "benign": 2, "indeterminate": 1, "series_without_images": 0}
    assert counts == expected
    rows = table(tmp_path / "out")
    assert [row["image"] for row in rows] == [
        "images/LIDC-IDRI-0001_nodule-0.png",
        "images/LIDC-IDRI-0001_nodule-1.png",
        "images/LIDC-IDRI-0002_nodule-0.png",
    ]
    first = rows[0]
    assert (first["label"], first["num_readers"], first["patient_id"]) == ("malignant", "3", "LIDC-IDRI-0001")
    assert float(first["malignancy"]) == pytest.approx(14 / 3)
    assert float(first["slice_mm"]) == -100 + 3 * GAP
    # the farthest points of the rounded circle are 20 rows and 6 columns apart
    assert float(first["diameter_mm"]) == pytest.approx(np.hypot(20 * ROW, 6 * COLUMN), abs=1e-3)
    assert (rows[1]["label"], rows[1]["malignancy"], rows[1]["num_readers"]) == ("benign", "1.5", "2")
    images = open_images(f"lidc:{tmp_path / 'out'}", view=View(color="grey"))
    assert images.groups == ("LIDC-IDRI-0001", "LIDC-IDRI-0001", "LIDC-IDRI-0002")
    assert (images.source(0).low, images.source(0).high, images.source(0).unit) == (-1350.0, 150.0, "HU")
    assert images[0][0].shape == (1, 128, 128)


@pytest.mark.parametrize("bits", [8, 16])
def test_every_value_of_a_slice_is_where_it_was_in_the_body(root, tmp_path, bits):
    prepare_lidc(root, tmp_path / "out", size=32, spacing=0.4, bits=bits, window=(-700, 1000))
    values = np.asarray(Image.open(tmp_path / "out" / "images" / "LIDC-IDRI-0002_nodule-0.png")).astype(float)
    top = 2**bits - 1
    at = (np.arange(32) - 15.5) * 0.4
    x, y = 40 * COLUMN + at[None, :], 40 * ROW + at[:, None]
    expected = np.clip((hounsfield(x, y, -100 + 4 * GAP) + 1200) / 1000, 0, 1)
    assert np.abs(values / top - expected).max() < 1.1 / 1000 + 0.51 / top  # stored HU are whole numbers


def farness(size: int, step: float, rows: float, columns: float) -> np.ndarray:
    """(size, size) distance of each sample of a crop from its middle, in pixels of the slice."""
    at = (np.arange(size) - (size - 1) / 2) * step
    return np.hypot(at[None, :] / columns, at[:, None] / rows)


def test_the_mask_is_what_half_of_the_readers_outline(scan, tmp_path):
    uid = "1.2.826.4.4"
    ring = roi(uid, circle(30, 32, 12)) + roi(uid, circle(30, 32, 5), "FALSE")
    lone = nodule(5, roi(uid, circle(42, 32, 12)))
    root = scan("0004", [nodule(5, ring), nodule(5, ring), lone])
    out = tmp_path / "out"
    prepare_lidc(root, out, size=96, spacing=0.4)
    mask = np.asarray(Image.open(out / "masks" / "LIDC-IDRI-0004_nodule-0.png"))
    assert set(np.unique(mask)) == {0, 255}
    # two of three have the ring, and what the third has of its hole counts with nobody else
    far = farness(96, 0.4, ROW, COLUMN)
    assert mask[(far > 6.5) & (far < 10.5)].all()
    assert not mask[far > 12.8].any()
    assert not mask[far < 3.5].any()
    images = open_images(f"lidc:{out}", view=View(48, color="grey"))
    found = lesion_masks(images)
    assert list(found) == [0]
    np.testing.assert_array_equal(found[0], images.mask(0)[0].numpy())
    assert found[0].mean() == pytest.approx((mask > 0).mean(), abs=0.01)


def test_of_two_readers_one_is_half_and_thin_outlines_are_the_mask(scan, tmp_path):
    uid = "1.2.826.5"
    wide = nodule(5, roi(f"{uid}.4", circle(20, 32, 9)))
    narrow = nodule(4, roi(f"{uid}.4", circle(20, 32, 4)))
    thin = nodule(5, roi(f"{uid}.7", [(50, 30), (51, 30), (51, 31), (50, 31)]))
    root = scan("0005", [wide + thin, narrow])
    out = tmp_path / "out"
    prepare_lidc(root, out, size=64, spacing=0.4)
    masks = [np.asarray(Image.open(path)) > 0 for path in sorted((out / "masks").iterdir())]
    far = farness(64, 0.4, ROW, COLUMN)
    assert masks[0][far < 7.5].all()
    assert not masks[0][far > 9.8].any()
    # 2 x 2 pixels, 1 mm wide and 1.6 mm high, of samples of 0.4 mm
    assert masks[1].sum() * 0.4**2 == pytest.approx(4 * ROW * COLUMN, rel=0.35)
    assert masks[1][31:33, 31:33].all()


def test_a_volume_has_a_mask_of_all_slices(root, tmp_path):
    out = tmp_path / "out"
    prepare_lidc(root, out, mode="volume", size=12, spacing=1.0)
    images = open_images(f"lidc:{out}", view=View(color="grey"))
    mask = images.mask(2)[0].numpy()
    assert mask.shape == (12, 12, 12)
    # one slice is outlined; beside it the mask reaches half-way to the next, 1.25 mm
    assert mask.any((1, 2)).nonzero()[0].tolist() == [5, 6]
    far = farness(12, 1.0, ROW, COLUMN)
    assert mask[5][far < 3.8].all()
    assert not mask[5][far > 5.8].any()
    np.testing.assert_array_equal(lesion_masks(images)[2], mask)


def test_volume(root, tmp_path):
    prepare_lidc(root, tmp_path / "out", mode="volume", size=8, spacing=1.0)
    with np.load(tmp_path / "out" / "images" / "LIDC-IDRI-0002_nodule-0.npz") as file:
        cube = file["image"].astype(float)
        assert (file["low"], file["high"], str(file["unit"])) == (-1350.0, 150.0, "HU")
    at = np.arange(8) - 3.5
    x, y, z = 40 * COLUMN + at[None, None], 40 * ROW + at[None, :, None], -100 + 4 * GAP + at[:, None, None]
    assert np.abs(cube - hounsfield(x, y, z)).max() <= 1.01
    images = open_images(f"lidc:{tmp_path / 'out'}", view=View(color="grey"))
    assert images[0][0].shape == (1, 8, 8, 8)
    assert images.source(0).unit == "HU"


def test_few_readers_beyond_the_edge_and_holes(scan, tmp_path):
    uid = "1.2.826.3.4"
    hole = roi(uid, circle(2, 2, 9)) + roi(uid, circle(2, 2, 5), "FALSE")
    root = scan("0003", [nodule(5, hole), big(3, 1), big(3, 2)])
    counts = prepare_lidc(root, tmp_path / "out", min_readers=2)
    assert (counts["nodules"], counts["few_readers"]) == (1, 1)
    prepare_lidc(root, tmp_path / "all", size=64)
    values = np.asarray(Image.open(tmp_path / "all" / "images" / "LIDC-IDRI-0003_nodule-1.png"))
    assert (values[:8, :8] == 0).all()  # outside the slice
    assert values[40, 40] > 0


def test_a_broken_off_run_goes_on_and_other_options_are_refused(root, tmp_path):
    out = tmp_path / "out"
    prepare_lidc(root, out)
    expected = {path.name: path.read_bytes() for path in (out / "images").iterdir()}
    masks = {path.name: path.read_bytes() for path in (out / "masks").iterdir()}
    assert set(masks) == set(expected)
    (out / "masks" / "LIDC-IDRI-0001_nodule-0.png").unlink()  # as a folder of before masks were written
    first = out / "images" / "LIDC-IDRI-0001_nodule-0.png"
    kept = out / "images" / "LIDC-IDRI-0002_nodule-0.png"
    first.unlink()
    (out / "nodules.csv").unlink()
    before = kept.stat().st_mtime_ns
    prepare_lidc(root, out)
    assert {path.name: path.read_bytes() for path in (out / "images").iterdir()} == expected
    assert {path.name: path.read_bytes() for path in (out / "masks").iterdir()} == masks
    assert kept.stat().st_mtime_ns == before
    assert json.loads((out / "prepare.json").read_text())["size"] == 128
    with pytest.raises(UserError, match="prepared with other options"):
        prepare_lidc(root, out, size=64)
    with pytest.raises(UserError, match="not an empty folder"):
        prepare_lidc(root, root)


def test_what_can_be_missing(root, tmp_path, dicom):
    for options, text in (
        ({"mode": "slices"}, "unknown mode"),
        ({"bits": 12}, "12 is not a depth"),
        ({"size": -1}, "must be positive"),
    ):
        with pytest.raises(UserError, match=text):
            prepare_lidc(root, tmp_path / "out", **options)
    with pytest.raises(UserError, match="no such folder"):
        prepare_lidc(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no LIDC annotations"):
        prepare_lidc(tmp_path / "empty", tmp_path / "out")
    xml = next(root.rglob("069.xml"))
    (tmp_path / "empty" / "1.xml").write_text(xml.read_text())
    with pytest.raises(UserError, match="none of the 1 annotated CT series"):
        prepare_lidc(tmp_path / "empty", tmp_path / "out")
    xml.write_text("<LidcReadMessage>")
    with pytest.raises(UserError, match=r"069.xml: cannot be read as annotations"):
        prepare_lidc(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()
