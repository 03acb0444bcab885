"""csv: tables, their groups, splits, metadata, and what a user can get wrong."""

from __future__ import annotations

import pytest

from medrobust.data import View, open_images


@pytest.fixture
def table(put, tmp_path):
    """Write a table beside four images; returns its spec."""
    for k in range(4):
        put(f"images/{k}.png", value=10 * k)

    def write(text: str) -> str:
        (tmp_path / "list.csv").write_text(text)
        return f"csv:{tmp_path / 'list.csv'}"

    return write


FULL = """image,label,group,split,age,sex
images/0.png,benign,p1,train,61,f
images/1.png,malignant,p2,test,48,
images/2.png,benign,p1,train,61,f
images/3.png,malignant,p3,test,70.5,m
"""


def test_full_table(table):
    images = open_images(table(FULL), split="all", view=View(color="grey"))
    assert images.name == "list"
    assert images.classes == ("benign", "malignant")
    assert images.groups == ("p1", "p2", "p1", "p3")
    assert images.samples[0].metadata == {"age": 61.0, "sex": "f"}
    assert images.samples[1].metadata == {"age": 48.0}
    assert images[3][0].unique().tolist() == pytest.approx([30 / 255])
    assert [s.image_id for s in open_images(table(FULL)).samples] == ["images/1.png", "images/3.png"]


def test_labels_that_are_numbers_are_sorted_as_numbers(table):
    spec = table("image,label\nimages/0.png,10\nimages/1.png,9\nimages/2.png,2\n")
    assert open_images(spec).classes == ("2", "9", "10")


def test_absolute_paths_never_reach_the_image_id(table, tmp_path):
    spec = table(f"image,label\n{tmp_path}/images/0.png,a\n{tmp_path}/images/1.png,b\n")
    assert [s.image_id for s in open_images(spec).samples] == ["0.png", "1.png"]


def test_what_a_user_can_get_wrong(table, tmp_path, fails):
    assert "no such file" in fails(f"csv:{tmp_path}/nowhere.csv")
    assert "no column 'label'. Did you mean 'labels'?" in fails(table("image,labels\nimages/0.png,a\n"))
    assert "no rows" in fails(table("image,label\n"))
    assert "no column 'image'" in fails(table(""))
    assert "only one class" in fails(table("image,label\nimages/0.png,a\nimages/1.png,a\n"))
    rows = "image,label\nimages/0.png,a\nimages/1.png,b\n"
    assert "9.png: cannot be read: no such file" in fails(table(rows + "images/9.png,b\n"))
    assert "images/1.png is listed twice" in fails(table(rows + "images/1.png,b\n"))
    assert "line 4: the cell 'image' is empty" in fails(table(rows + ",b\n"))
    assert "line 2: unknown split 'tran'" in fails(
        table("image,label,split\nimages/0.png,a,tran\nimages/1.png,b,test\n")
    )
    (tmp_path / "list.csv").write_bytes(b"image,label\n\xff\xfe\x00,a\n")
    assert "cannot be read as a CSV" in fails(f"csv:{tmp_path}/list.csv")


def test_given_classes_order_the_labels_and_name_the_stray(table, fails):
    spec = table("image,label\nimages/0.png,a\nimages/1.png,b\nimages/2.png,c\n")
    assert open_images(spec, classes=["c", "b", "a"]).labels.tolist() == [2, 1, 0]
    text = fails(spec, classes=["b", "a"])
    assert "line 4: the label 'c' is not one of the classes b, a" in text
    left = open_images(spec, classes=["b", "a", "-c"])
    assert left.classes == ("b", "a")
    assert left.labels.tolist() == [1, 0]


def test_missing_images_can_be_skipped(table):
    spec = table("image,label\nimages/0.png,a\nimages/1.png,b\nimages/9.png,b\n")
    images = open_images(spec, skip_broken=True)
    assert len(images) == 2
    assert images.broken == (("images/9.png", "no such file"),)
