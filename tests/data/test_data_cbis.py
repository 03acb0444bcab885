"""cbis_ddsm: and its preparation, on mammograms, masks and case tables in the layout of TCIA."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medrobust.data import View, open_images
from medrobust.data.prepare.cbis_ddsm import prepare_cbis_ddsm
from medrobust.errors import UserError

COLUMNS = (
    "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type,mass shape,mass margins,"
    "assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path\n"
)
FULL = (np.arange(200)[:, None] * 300 + np.arange(120)[None, :] * 4).astype(np.uint16)


def case(patient: str, kind: str, split: str, pathology: str, swapped: bool = False) -> str:
    """A row as the source writes it: paths that the download has renamed, one of them with a line break."""
    name = f"{kind}-{split}_{patient}_LEFT_CC"
    crop, mask = f"{name}_1/1.3.6.1.1/1.3.6.1.2/000000.dcm", f"{name}_1/1.3.6.1.1/1.3.6.1.2/000001.dcm"
    if swapped:
        crop, mask = mask, crop
    full = f"{name}/1.3.6.1.3/1.3.6.1.4/000000.dcm"
    return f'{patient},3,LEFT,CC,1,{kind.lower()},OVAL,CIRCUMSCRIBED,4,{pathology},5,{full},"{crop}\n",{mask}\n'


@pytest.fixture
def root(dicom, tmp_path: Path) -> Path:
    base = "CBIS-DDSM"
    specs = [("P_00001", "Mass", "Training"), ("P_00002", "Mass", "Training"), ("P_00001", "Calc", "Test")]
    for k, (patient, kind, split) in enumerate(specs):
        name = f"{kind}-{split}_{patient}_LEFT_CC"
        mask = np.zeros(FULL.shape, np.uint8)
        mask[100:120, 40 + k : 80 + k] = 255
        crop = FULL[100:120, 40 + k : 80 + k]
        tags = {"BitsStored": 16, "Modality": "MG"}
        dicom(FULL, f"{base}/{name}/07-20-2016-DDSM-NA-30104/1.000000-full mammogram images-63992/1-1.dcm", **tags)
        roi = f"{base}/{name}_1/07-20-2016-DDSM-NA-94942/1.000000-ROI mask images-18515"
        dicom(crop, f"{roi}/1-1.dcm", SeriesDescription="ROI mask images", **tags)
        dicom(mask, f"{roi}/1-2.dcm", SeriesDescription="ROI mask images", Modality="MG")
    (tmp_path / "mass_case_description_train_set.csv").write_text(
        COLUMNS + case("P_00001", "Mass", "Training", "MALIGNANT") + case("P_00002", "Mass", "Training", "BENIGN", True)
    )
    (tmp_path / "calc_case_description_test_set.csv").write_text(
        COLUMNS.replace("mass shape", "calc type").replace("mass margins", "calc distribution")
        + case("P_00001", "Calc", "Test", "BENIGN_WITHOUT_CALLBACK")
    )
    return tmp_path


def test_cropped_images_of_the_source(root, fails):
    images = open_images(f"cbis_ddsm:{root}", split="all", view=View(color="grey"))
    assert Counter((s.split, images.classes[s.label]) for s in images.samples) == {
        ("train", "malignant"): 1,
        ("train", "benign"): 1,
        ("test", "benign"): 1,
    }
    by_patient = {(s.group_id, s.split): i for i, s in enumerate(images.samples)}
    swapped = by_patient[("P_00002", "train")]  # crop and mask are told apart by their size
    np.testing.assert_allclose(images[swapped][0][0].numpy(), FULL[100:120, 41:81] / 65535, atol=1e-6)
    assert images.bit_depth(swapped) == 16
    assert images.samples[swapped].metadata["mass_shape"] == "OVAL"
    assert images.samples[swapped].metadata["abnormality_type"] == "mass"
    assert len(open_images(f"cbis_ddsm:{root}", kind="mass", split="all")) == 2
    assert "unknown kind" in fails(f"cbis_ddsm:{root}", kind="lump")
    assert len(open_images(f"cbis_ddsm:{root}")) == 1


def test_crops_of_ours(root, tmp_path):
    out = tmp_path / "out"
    counts = prepare_cbis_ddsm(root, out, context=1.5, min_side=16)
    assert counts == {"broken": 0, "lesions": 3, "malignant": 1, "benign": 2, "mass": 2, "calc": 1}
    values = np.asarray(Image.open(out / "images" / "mass_P_00001_LEFT_CC_1.png"))
    assert values.dtype == np.uint16
    np.testing.assert_array_equal(values, FULL[80:140, 30:90])
    images = open_images(f"cbis_ddsm:{out}", split="all", view=View(color="grey"))
    assert Counter(s.split for s in images.samples) == {"train": 2, "test": 1}
    assert {s.group_id for s in images.samples} == {"P_00001", "P_00002"}
    assert len(open_images(f"cbis_ddsm:{out}", kind="calc", split="all")) == 1
    before = (out / "images" / "mass_P_00001_LEFT_CC_1.png").stat().st_mtime_ns
    (out / "images" / "mass_P_00002_LEFT_CC_1.png").unlink()
    assert prepare_cbis_ddsm(root, out, context=1.5, min_side=16) == counts
    assert (out / "images" / "mass_P_00001_LEFT_CC_1.png").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="other options"):
        prepare_cbis_ddsm(root, out)


def test_beyond_the_edge_is_black(root, tmp_path):
    prepare_cbis_ddsm(root, tmp_path / "out", context=4)
    values = np.asarray(Image.open(tmp_path / "out" / "images" / "mass_P_00001_LEFT_CC_1.png"))
    assert values.shape == (160, 160)
    assert (values[:, :20] == 0).all()
    np.testing.assert_array_equal(values[:, 20:140], FULL[30:190])


def test_missing_damaged_and_empty_files(root, tmp_path, dicom, fails):
    mask = next(root.glob("CBIS-DDSM/Mass-Training_P_00001_LEFT_CC_1/*/*/1-2.dcm"))
    content = mask.read_bytes()
    mask.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"1-2.dcm: cannot be used"):
        prepare_cbis_ddsm(root, tmp_path / "out")
    assert prepare_cbis_ddsm(root, tmp_path / "out", skip_broken=True)["broken"] == 1
    dicom(np.zeros(FULL.shape, np.uint8), mask.relative_to(root).as_posix())
    with pytest.raises(UserError, match="the mask is empty"):
        prepare_cbis_ddsm(root, tmp_path / "out2")
    for file in root.glob("CBIS-DDSM/Mass-Training_P_00001_LEFT_CC_1/*/*/*.dcm"):
        file.unlink()
    assert "no such file" in fails(f"cbis_ddsm:{root}", split="train")
    (root / "mass_case_description_train_set.csv").write_text(COLUMNS + case("P_1", "Mass", "Training", "UNSURE"))
    assert "unknown pathology 'UNSURE'" in fails(f"cbis_ddsm:{root}")
    (tmp_path / "none").mkdir()
    assert "no lesions.csv and no *_case_description_*.csv" in fails(f"cbis_ddsm:{tmp_path / 'none'}")
