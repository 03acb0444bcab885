"""ham10000: and isic: on small trees in the layouts of their sources."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from medrobust.data import View, open_images

GREY = View(color="grey")
HEADER = "lesion_id,image_id,dx,dx_type,age,sex,localization\n"
ROWS = """HAM_1,ISIC_0000001,bkl,histo,80.0,male,scalp
HAM_1,ISIC_0000002,bkl,histo,80.0,male,scalp
HAM_2,ISIC_0000003,mel,histo,,female,back
HAM_3,ISIC_0000004,nv,follow_up,45.0,unknown,face
"""


@pytest.fixture
def ham(put, tmp_path: Path) -> Path:
    for k in range(1, 5):
        put(f"ham/HAM10000_images_part_{1 + k // 3}/ISIC_000000{k}.jpg", value=40 * k)
        put(f"ham/HAM10000_segmentations/ISIC_000000{k}_segmentation.png", value=255)
    (tmp_path / "ham" / "HAM10000_metadata.csv").write_text(HEADER + ROWS)
    return tmp_path / "ham"


def test_ham10000(ham):
    images = open_images(f"ham10000:{ham}", view=GREY)
    assert images.classes == ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
    assert images.labels.tolist() == [2, 2, 4, 5]
    assert images.groups == ("HAM_1", "HAM_1", "HAM_2", "HAM_3")
    assert images.positive_index == 4
    assert images.samples[2].image_id == "HAM10000_images_part_2/ISIC_0000003.jpg"
    assert images.samples[2].metadata == {"dx_type": "histo", "sex": "female", "localization": "back"}
    assert images.samples[0].metadata["age"] == 80.0
    assert [round(float(images[i][0].mean()) * 255) for i in range(4)] == [40, 80, 120, 160]


def test_ham10000_classes_and_melanoma_against_the_rest(ham):
    three = open_images(f"ham10000:{ham}", classes=["mel", "bkl", "nv"])
    assert (three.classes, three.labels.tolist(), three.positive_index) == (("mel", "bkl", "nv"), [1, 1, 0, 2], 0)
    two = open_images(f"ham10000:{ham}", classes=["rest", "mel"])
    assert (two.classes, two.labels.tolist(), two.positive_index) == (("rest", "mel"), [0, 0, 1, 0], 1)


def test_ham10000_in_one_folder(put, tmp_path):
    put("HAM10000_images/ISIC_0000001.jpg")
    put("HAM10000_images/ISIC_0000003.jpg")
    rows = [row for row in ROWS.splitlines() if "01," in row or "03," in row]
    (tmp_path / "HAM10000_metadata.csv").write_text(HEADER + "\n".join(rows))
    assert Counter(open_images(f"ham10000:{tmp_path}").labels.tolist()) == {2: 1, 4: 1}


def test_ham10000_errors(ham, fails, put):
    table = ham / "HAM10000_metadata.csv"
    (ham / "HAM10000_images_part_2" / "ISIC_0000004.jpg").unlink()
    assert "HAM10000_images_part_1/ISIC_0000004.jpg: cannot be read: no such file" in fails(f"ham10000:{ham}")
    assert len(open_images(f"ham10000:{ham}", skip_broken=True)) == 3
    table.write_text(HEADER + ROWS + "HAM_9,ISIC_0000001,nv,histo,1,male,face\n")
    assert "part_1/ISIC_0000001.jpg is listed twice" in fails(f"ham10000:{ham}")
    table.write_text(HEADER + ROWS.replace("mel", "melanoma"))
    assert "line 4: unknown diagnosis 'melanoma'" in fails(f"ham10000:{ham}")
    table.write_text(HEADER.replace("dx,", "diagnosis,") + ROWS)
    assert "no column 'dx'" in fails(f"ham10000:{ham}")
    table.write_text(HEADER + ROWS.replace("ISIC_", "X_"))
    assert "none of the 4 images" in fails(f"ham10000:{ham}")
    table.write_text(HEADER + ROWS)
    put("ham/HAM10000_images_part_2/ISIC_0000004.jpg")
    assert "unknown class 'melanoma'" in fails(f"ham10000:{ham}", classes=["melanoma", "nv"])
    put("ham/HAM10000_images_part_1/ISIC_0000003.jpg")
    assert "have one name" in fails(f"ham10000:{ham}")
    table.unlink()
    assert "HAM10000_metadata.csv: no such file" in fails(f"ham10000:{ham}")


def isic(root: Path, put, stems, folder: str, **tables: str) -> str:
    for k, stem in enumerate(stems, start=1):
        put(f"{root.name}/{folder}/{stem}.jpg", value=20 * k)
    for name, text in tables.items():
        (root / f"{name}.csv").write_text(text)
    return f"isic:{root}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "isic").mkdir()
    return tmp_path / "isic"


def test_isic_2016_has_no_header(put, root):
    spec = isic(
        root,
        put,
        ["ISIC_0000000", "ISIC_0000001", "ISIC_0000003"],
        "ISBI2016_ISIC_Part3_Training_Data",
        ISBI2016_ISIC_Part3_Training_GroundTruth="ISIC_0000000,benign\nISIC_0000001,malignant\n",
        ISBI2016_ISIC_Part3_Test_GroundTruth="ISIC_0000003,0.0\n",
    )
    images = open_images(spec, split="all", view=GREY)
    assert images.classes == ("benign", "malignant")
    by_name = {Path(s.image_id).stem: s for s in images.samples}
    assert [(by_name[f"ISIC_000000{k}"].label, by_name[f"ISIC_000000{k}"].split) for k in (0, 1, 3)] == [
        (0, "train"),
        (1, "train"),
        (0, "test"),
    ]
    assert images.positive_index == 1


def test_isic_2017_third_class_has_no_column(put, root):
    spec = isic(
        root,
        put,
        [f"ISIC_000000{k}" for k in range(3)],
        "ISIC-2017_Training_Data",
        **{
            "ISIC-2017_Training_Part3_GroundTruth": "image_id,melanoma,seborrheic_keratosis\nISIC_0000000,0.0,0.0\n"
            "ISIC_0000001,1.0,0.0\nISIC_0000002,0.0,1.0\n",
            "ISIC-2017_Training_Data_metadata": "image_id,age_approximate,sex\nISIC_0000001,55,female\n",
        },
    )
    put("isic/ISIC-2017_Training_Data/ISIC_0000000_superpixels.png")
    images = open_images(spec, split="all", view=GREY)
    assert images.classes == ("melanoma", "nevus", "seborrheic_keratosis")
    assert images.labels.tolist() == [1, 0, 2]
    assert images.samples[1].metadata == {"age_approximate": 55.0, "sex": "female"}
    assert images.positive_index == 0


def test_isic_2018_one_hot_with_lesions(put, root):
    spec = isic(
        root,
        put,
        [f"ISIC_002430{k}" for k in range(4)],
        "ISIC2018_Task3_Training_Input",
        ISIC2018_Task3_Training_GroundTruth="image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\n"
        "ISIC_0024300,0.0,1.0,0.0,0.0,0.0,0.0,0.0\nISIC_0024301,1.0,0.0,0.0,0.0,0.0,0.0,0.0\n"
        "ISIC_0024302,1.0,0.0,0.0,0.0,0.0,0.0,0.0\n",
        ISIC2018_Task3_Validation_GroundTruth="image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\n"
        "ISIC_0024303,0.0,1.0,0.0,0.0,0.0,0.0,0.0\n",
        ISIC2018_Task3_Training_LesionGroupings="image,lesion_id,diagnosis_confirm_type\nISIC_0024300,HAM_1,histo\n"
        "ISIC_0024301,HAM_2,histo\nISIC_0024302,HAM_2,consensus\n",
    )
    images = open_images(spec, split="all", view=GREY)
    assert images.classes == ("MEL", "NV")
    assert images.labels.tolist() == [1, 0, 0, 1]
    assert images.groups[:3] == ("HAM_1", "HAM_2", "HAM_2")
    assert [s.split for s in images.samples] == ["train", "train", "train", "val"]


def test_isic_2019_and_its_test_weights(put, root):
    spec = isic(
        root,
        put,
        ["ISIC_0000000", "ISIC_0000001_downsampled", "ISIC_0034321"],
        "ISIC_2019_Training_Input",
        ISIC_2019_Training_GroundTruth="image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\n"
        "ISIC_0000000,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n"
        "ISIC_0000001_downsampled,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0\n",
        ISIC_2019_Training_Metadata="image,age_approx,anatom_site_general,lesion_id,sex\n"
        "ISIC_0000000,55.0,anterior torso,,female\nISIC_0000001_downsampled,30.0,head/neck,BCN_1,male\n",
        ISIC_2019_Test_GroundTruth="image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK,score_weight,validation_weight\n"
        "ISIC_0034321,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0\n",
    )
    images = open_images(spec, split="all", view=GREY)
    assert images.classes == ("NV", "SCC", "UNK")
    groups = {Path(s.image_id).stem: s.group_id for s in images.samples}
    assert groups["ISIC_0000001_downsampled"] == "BCN_1"
    assert groups["ISIC_0000000"] == "ISIC_2019_Training_Input/ISIC_0000000.jpg"
    assert len(open_images(spec)) == 1


def test_isic_2020_targets_and_patients(put, root):
    spec = isic(
        root,
        put,
        ["ISIC_2637011", "ISIC_0015719", "ISIC_0052212"],
        "train",
        ISIC_2020_Training_GroundTruth="image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,"
        "benign_malignant,target\nISIC_2637011,IP_1,male,45.0,head/neck,unknown,benign,0\n"
        "ISIC_0015719,IP_2,female,45.0,upper extremity,melanoma,malignant,1\n"
        "ISIC_0052212,IP_2,female,50.0,lower extremity,nevus,benign,0\n",
    )
    images = open_images(spec, view=GREY)
    assert images.labels.tolist() == [0, 1, 0]
    assert images.groups == ("IP_1", "IP_2", "IP_2")
    assert images.samples[1].metadata["diagnosis"] == "melanoma"
    assert [round(float(images[i][0].mean()) * 255) for i in range(3)] == [20, 40, 60]


def test_isic_errors(put, root, fails, tmp_path):
    assert "no *GroundTruth*.csv" in fails(f"isic:{root}")
    name = "ISIC2018_Task3_Training_GroundTruth"
    spec = isic(root, put, ["ISIC_1"], "images", **{name: "image,MEL,NV\nISIC_1,1.0,1.0\n"})
    assert "line 2: 2 diagnoses instead of one: MEL, NV" in fails(spec)
    (root / f"{name}.csv").write_text("image,MEL,NV\nISIC_1,1.0,0.0\n")
    assert "only one class" in fails(spec)
    (root / f"{name}.csv").write_text("name,MEL,NV\nISIC_1,1.0,0.0\n")
    assert "no column with the image name" in fails(spec)
    (root / f"{name}.csv").write_text("image,MEL,NV\nISIC_1,1.0,0.0\nISIC_2,0.0,1.0\n")
    assert "ISIC_2.jpg: cannot be read: no such file" in fails(spec)
    (root / "ISIC_2020_Training_GroundTruth.csv").write_text("image_name,target\nISIC_3,0\n")
    assert "different years" in fails(spec)
