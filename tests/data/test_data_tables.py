"""Tables as spreadsheets, hospitals and other systems write them: read right, or refused in a line with the row."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from medrobust.data import View, open_images
from medrobust.data.images.tables import read_table, spelled_alike
from medrobust.errors import UserError


@pytest.fixture
def table(put, tmp_path) -> Callable[..., str]:
    """Write a table beside six images, three of each class; returns its spec."""
    for c in "np":
        for k in range(3):
            put(f"img/{c}{k}.png", value=10 * k)

    def write(content: str | bytes, name: str = "t.csv") -> str:
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
        return f"csv:{tmp_path / name}"

    return write


ROWS = [(f"img/{c}{k}.png", label) for c, label in (("n", "0"), ("p", "1")) for k in range(3)]


def lines(head: str, rows: list[str], end: str = "\n") -> str:
    return end.join([head, *rows]) + end


def text(mark: str = ",") -> str:
    return lines(f"image{mark}label{mark}note", [f"{image}{mark}{label}{mark}Läsion" for image, label in ROWS])


@pytest.mark.parametrize(
    "content",
    [
        text().encode(),
        text().replace("\n", "\r\n").encode("utf-8-sig"),
        text(";").encode(),
        text("\t").encode("utf-16"),
        text("|").encode(),
        text(";").encode("cp1252"),
        text("\t").encode("utf-16-be").join([b"\xfe\xff", b""]),
        text().replace("image,label,note", "image,label,note,").replace("Läsion", "Läsion,").encode(),
        (text() + ",,\n\n , ,\n").encode(),
        ("sep=;\r\n" + text(";").replace("\n", "\r\n")).encode("utf-8-sig"),
        text().replace("\n", "\r").encode(),
        text(";").replace("image", '"image"').replace("Läsion", '"Lä;sion"').encode(),
    ],
    ids=[
        "utf-8",
        "bom",
        "semicolon",
        "utf-16 tab",
        "bar",
        "cp1252",
        "utf-16-be",
        "trailing comma",
        "blank",
        "sep",
        "cr",
        "quotes",
    ],
)
def test_tables_of_every_kind_are_one_set(table, content):
    images = open_images(table(content), view=View(color="grey"))
    assert images.classes == ("0", "1")
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert images.samples[2].image_id == "img/n2.png"
    assert images.samples[0].metadata["note"] in ("Läsion", "Lä;sion")


def test_numbers_in_two_spellings_are_one_class_or_group(table):
    rows = [f"{image},{label}{'.0' * (k == 0)},{1000 + k % 2}{'.0' * (k > 3)}" for k, (image, label) in enumerate(ROWS)]
    images = open_images(table(lines("image,label,group", rows)))
    assert images.classes == ("0", "1")
    assert set(images.groups) == {"1000", "1001"}
    assert images.groups == ("1000", "1001") * 3
    floats = lines("image,label,frame", [f"{image},{label}.0,0.0" for image, label in ROWS])
    named = open_images(table(floats), classes=["1", "0.0"])
    assert named.classes == ("1", "0")
    assert named.labels.tolist() == [1, 1, 1, 0, 0, 0]
    assert named.samples[0].frame == 0


def labeled(*labels: str) -> str:
    return lines("image,label", [f"{image},{label}" for (image, _), label in zip(ROWS, labels, strict=True)])


@pytest.mark.parametrize(
    ("labels", "line", "words"),
    [
        (("Benign", "benign", "m", "m", "m", "m"), 3, "the labels 'Benign' and 'benign' differ only in spelling"),
        (
            ("no tumor", "no_tumor", "m", "m", "m", "m"),
            3,
            "the labels 'no tumor' and 'no_tumor' differ only in spelling",
        ),
        (("01", "1", "2", "2", "2", "2"), 3, "the labels '01' and '1' differ only in spelling"),
        (("0", "-1", "1", "1", "1", "1"), 3, "the label '-1' looks like a mark for uncertain"),
        (("0.0", "1.0", "-1.0", "1.0", "1.0", "1.0"), 4, "the label '-1' looks like a mark for uncertain"),
        (("0", "1", "1", "?", "1", "1"), 5, "the label '?' looks like a mark for uncertain"),
        (("0", "1", "1", "", "1", "1"), 5, "the cell 'label' is empty"),
        (("0", "1", "1", "NaN", "1", "1"), 5, "the cell 'label' is 'NaN'"),
        (("a", "b", "Effusion|Mass", "a", "a", "a"), 4, "the label 'Effusion|Mass' looks like several labels"),
        (("a", "b", "a; c", "a", "a", "a"), 4, "the label 'a; c' looks like several labels"),
    ],
)
def test_labels_that_are_hardly_classes(table, fails, labels, line, words):
    found = fails(table(labeled(*labels)))
    assert f"t.csv line {line}: {words}" in found


def test_what_a_person_names_is_a_class(table):
    spec = table(labeled("Benign", "benign", "-1", "-1", "a|b", "Benign"))
    images = open_images(spec, classes=["Benign", "benign", "'-1'", "a|b"])
    assert images.classes == ("Benign", "benign", "-1", "a|b")
    assert images.labels.tolist() == [0, 1, 2, 2, 3, 0]
    left = open_images(spec, classes=["Benign", "benign", "--1", "-a|b"])
    assert left.labels.tolist() == [0, 1, 0]
    blank = table(labeled("a", "b", "", "nan", "a", "b"))
    assert open_images(blank, classes=["a", "b", "-", "-nan"]).labels.tolist() == [0, 1, 0, 1]


def test_rules_work_on_the_labels_of_a_table(table, fails):
    spec = table(labeled("mel", "nv", "bkl", "df", "nv", "nv"))
    images = open_images(spec, classes=["rest", "bad=mel+bkl"])
    assert images.classes == ("rest", "bad")
    assert images.labels.tolist() == [1, 0, 1, 0, 0, 0]
    assert "unknown class 'melanoma'" in fails(spec, classes=["rest", "melanoma"])
    assert "'nv' is not one of the classes" in fails(spec, classes=["df", "bad=mel+bkl"])
    assert "the label '-1' looks like a mark" in fails(
        table(labeled("a", "b", "-1", "c", "c", "c")), classes=["rest", "a"]
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("image,label,label\nimg/n0.png,0,1\n", "two columns are named 'label'"),
        ("image,label,Label\nimg/n0.png,0,1\n", "two columns are named 'label' and 'Label'"),
        ("image,label,group\nimg/n0.png,0,g\nimg/p0.png\n", "line 3: its number of cells is 1, the header has 3"),
        ("image,label,group\nimg/n0.png,0,g\nimg/p0.png,1\n", "line 3: its number of cells is 2, the header has 3"),
        ("image,label,note\nimg/n0.png,0,dense, left\n", "line 2: its number of cells is 4, the header has 3"),
        ('image,label,note\nimg/n0.png,0,"open\nimg/p0.png,1,x\n', "cannot be read as a CSV table: unexpected end"),
        ("image,label\nD:\\study\\n0.png,0\nimg/p0.png,1\n", "line 2: D:\\study\\n0.png is a path on another computer"),
        (
            "image,label\n\\\\server\\n0.png,0\nimg/p0.png,1\n",
            "line 2: \\\\server\\n0.png is a path on another computer",
        ),
        ("image,label\nhttps://x.org/n0.png,0\nimg/p0.png,1\n", "is a path on another computer"),
        ("image;labels\nimg/n0.png;0\n", "no column 'label'. Did you mean 'labels'?"),
        ("image,label\nimg/n0.png,0\n./img/n0.png,1\n", "img/n0.png is listed twice"),
        (b"image,label\nimg/n0.png,\x81\n", "cannot be read as a CSV table"),
    ],
)
def test_tables_that_cannot_be_meant(table, fails, content, words):
    assert words in fails(table(content))


def test_paths_with_backslashes_and_without_endings(table, put, fails):
    rows = [f"{image.replace('/', chr(92))},{label}" for image, label in ROWS]
    assert [s.image_id for s in open_images(table(lines("image,label", rows))).samples] == [image for image, _ in ROWS]
    rows = [f"{image[:-4]},{label}" for image, label in ROWS]
    spec = table(lines("image,label", rows))
    assert [s.image_id for s in open_images(spec).samples] == [image for image, _ in ROWS]
    put("img/n0.jpg")
    assert "line 2: img/n0 has no ending and fits n0.jpg, n0.png" in fails(spec)
    put("img/case.01.png")
    dotted = table("image,label\nimg/case.01,0\nimg/p0.png,1\n")
    assert open_images(dotted).samples[0].image_id == "img/case.01.png"
    missing = table("image,label\nimg/nowhere.png,0\nimg/p0.png,1\n")
    assert "img/nowhere.png: cannot be read: no such file" in fails(missing)


def test_spellings():
    assert spelled_alike(["a", "b", "A"]) == ("A", "a")
    assert spelled_alike(["-", "--"]) is None  # of nothing but signs
    assert spelled_alike(["1", "1.5", "10"]) is None


def test_other_tables_are_read_the_same_way(tmp_path):
    (tmp_path / "x.csv").write_bytes("id;größe\n1;2\n".encode("cp1252"))
    assert read_table(tmp_path / "x.csv", ("id",)) == [{"id": "1", "größe": "2", "": "2"}]
    (tmp_path / "x.csv").write_text("id,x\n,\n")
    with pytest.raises(UserError, match="no rows below"):
        read_table(tmp_path / "x.csv", ("id",))
    with pytest.raises(UserError, match="cannot be read as a CSV table: Is a directory"):
        read_table(tmp_path, ("id",))
