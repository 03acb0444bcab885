"""kermany_oct:, brain_mri:, busis:, lidc: and cbis_ddsm: on small trees in the layouts of their sources."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from openpyxl import Workbook

from medrobust.data import View, open_images

GREY = View(color="grey")


def test_kermany_oct(put, tmp_path, fails):
    for split, count in (("train", 2), ("test", 1)):
        for name in ("CNV", "DME", "DRUSEN", "NORMAL"):
            for k in range(count):
                put(f"OCT2017/{split}/{name}/{name}-{1000 + k}-{k + 1}.jpeg")
    for path in (tmp_path, tmp_path / "OCT2017"):
        images = open_images(f"kermany_oct:{path}", split="all")
        assert images.classes == ("CNV", "DME", "DRUSEN", "NORMAL")
        assert Counter(images.labels.tolist()) == dict.fromkeys(range(4), 3)
        assert set(images.groups) == {"1000", "1001"}  # one patient, several diseases
        assert len(open_images(f"kermany_oct:{path}")) == 4
    assert "no images in the class folders CNV" in fails(f"kermany_oct:{tmp_path}/OCT2017/train/CNV")
    shutil.rmtree(tmp_path / "OCT2017" / "train" / "DME")
    shutil.rmtree(tmp_path / "OCT2017" / "test" / "DME")
    assert "the class folder 'DME' is missing" in fails(f"kermany_oct:{tmp_path}")


def test_brain_mri(put, tmp_path, fails):
    for split, count in (("Training", 3), ("Testing", 2)):
        for label, name in enumerate(("glioma", "meningioma", "notumor", "pituitary")):
            for k in range(count):
                put(f"{split}/{name}/{split[:2]}-{name[:2]}_{k:04d}.jpg", value=50 * label)
    images = open_images(f"brain_mri:{tmp_path}", view=GREY)
    assert images.classes == ("glioma", "meningioma", "notumor", "pituitary")
    assert len(images) == 8
    assert [round(float(images[i][0].mean()) * 255) for i in (0, 2, 4, 6)] == [0, 50, 100, 150]
    assert images.samples[0].image_id == "Testing/glioma/Te-gl_0000.jpg"
    (tmp_path / "Testing").rename(tmp_path / "Other")
    assert "no folders Training and Testing" in fails(f"brain_mri:{tmp_path}")


@pytest.fixture
def busis(put, tmp_path: Path) -> Path:
    for k in range(1, 4):
        put(f"BUSIS/Original/case{k:03d}.bmp", value=30 * k)
        put(f"BUSIS/GT/case{k:03d}_GT.bmp", value=255)
    return tmp_path / "BUSIS"


def test_busis_with_its_workbook(busis, tmp_path):
    book = Workbook()
    for row in (["img name", "tumor type", "age"], ["case1", "B", 40], ["case2", "M", 51], ["case3", "B"]):
        book.active.append(row)
    book.save(busis / "BUSIS.xlsx")
    for path in (tmp_path, busis):
        images = open_images(f"busis:{path}", view=GREY)
        assert images.labels.tolist() == [0, 1, 0]
        assert images.samples[1].image_id == "Original/case002.bmp"
        assert images.samples[1].metadata == {"age": 51.0}
        assert [round(float(images[i][0].mean()) * 255) for i in range(3)] == [30, 60, 90]
        assert images.positive_index == 1


def test_busis_with_a_csv_and_its_errors(busis, fails):
    assert "no BUSIS.xlsx or BUSIS.csv" in fails(f"busis:{busis}")
    table = busis / "BUSIS.csv"
    table.write_text("img name,tumor type\ncase001,M\ncase003,B\n")
    assert open_images(f"busis:{busis}").labels.tolist() == [1, 0]
    table.write_text("img name,tumor type\ncase001,M\ncase009,B\n")
    assert "case009.bmp: cannot be read: no such file" in fails(f"busis:{busis}")
    table.write_text("img name,tumor type\ncase001,X\n")
    assert "line 2: unknown tumor type 'X'" in fails(f"busis:{busis}")
    table.write_text("name,tumor type\ncase001,B\n")
    assert "no column 'img name'" in fails(f"busis:{busis}")
    table.unlink()
    (busis / "BUSIS.xlsx").write_bytes(b"not a zip")
    assert "cannot be read as a workbook" in fails(f"busis:{busis}")


def test_lidc_crops_keep_their_hounsfield_range(put, tmp_path, fails):
    rows = "image,label,patient_id,malignancy,diameter_mm,source_low,source_high,source_unit\n"
    for k, label in enumerate(("benign", "malignant")):
        put(f"images/n{k}.png", array=np.array([[0, 255], [51, 102]], np.uint8))
        rows += f"images/n{k}.png,{label},LIDC-IDRI-000{k},{1 + 3 * k},10.5,-1350,150,HU\n"
    (tmp_path / "nodules.csv").write_text(rows)
    images = open_images(f"lidc:{tmp_path}", view=GREY)
    assert images.groups == ("LIDC-IDRI-0000", "LIDC-IDRI-0001")
    source = images.source(1)
    assert (source.bits, source.low, source.high, source.unit) == (8, -1350.0, 150.0, "HU")
    assert source.epsilon_in_units(1 / 255) == pytest.approx(1500 / 255)
    torch.testing.assert_close(images[1][0][0], torch.tensor([[0, 1], [0.2, 0.4]]), rtol=0, atol=1e-6)
    soft = open_images(f"lidc:{tmp_path}", view=View(color="grey", window=(-600, 600)))
    assert soft[0][0].flatten().tolist() == pytest.approx([0, 1, 0, 0.75 / 3], abs=0.003)
    (tmp_path / "nodules.csv").write_text(rows.replace("malignant", "malign"))
    assert "unknown label 'malign'" in fails(f"lidc:{tmp_path}")


def test_lidc_without_extra_columns_and_unprepared(put, tmp_path, fails):
    put("images/a.png", value=51)
    put("images/b.png", value=102)
    (tmp_path / "nodules.csv").write_text("image,label,patient_id\nimages/a.png,benign,P1\nimages/b.png,malignant,P2\n")
    images = open_images(f"lidc:{tmp_path}", view=GREY)
    assert float(images[0][0].mean()) == pytest.approx(0.2)
    assert images.source(0).unit == "grey level"
    (tmp_path / "nodules.csv").unlink()
    assert "no nodules.csv in it. Run medrobust data prepare lidc" in fails(f"lidc:{tmp_path}")
    (tmp_path / "069.xml").write_text("<x/>")
    assert "is the download from TCIA" in fails(f"lidc:{tmp_path}")
