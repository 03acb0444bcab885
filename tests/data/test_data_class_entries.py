"""Names of classes are data: only what a person writes is read as rules, and quotes make a name of it."""

from __future__ import annotations

import pytest

from medrobust.data import open_images
from medrobust.data.choose.classes import exact_names, select_classes
from medrobust.data.choose.entries import Entry, read_entry
from medrobust.errors import UserError

NAMES = ("grade=1", "grade=2", "a+b", "rest", "-x", "'quoted'")


@pytest.fixture
def odd(put, tmp_path) -> str:
    """A folder whose classes are named as rules."""
    for k, name in enumerate(NAMES):
        put(f"set/{name}/0.png", value=k)
    return f"folder:{tmp_path / 'set'}"


def labels(spec: str, classes: list[str]) -> dict[str, int]:
    images = open_images(spec, classes=classes)
    return {sample.image_id.split("/")[0]: sample.label for sample in images.samples}


def test_names_of_a_model_are_never_rules(odd):
    order = list(reversed(NAMES))
    images = open_images(odd, classes=exact_names(order))
    assert images.classes == tuple(order)
    assert labels(odd, exact_names(order)) == {name: k for k, name in enumerate(order)}
    assert labels(odd, exact_names(["rest", "a+b"])) == {"rest": 0, "a+b": 1}


def test_names_of_the_set_are_names_and_rules_may_quote_them(odd, fails):
    assert labels(odd, ["grade=2", "a+b"]) == {"grade=2": 0, "a+b": 1}
    merged = labels(odd, ["low='grade=1'+'a+b'", 'high="grade=2"'])
    assert merged == {"grade=1": 0, "a+b": 0, "grade=2": 1}
    assert "unknown class 'grade=3'" in fails(odd, classes=["grade=1", "'grade=3'"])
    assert "unknown class '3'" in fails(odd, classes=["grade=1", "grade=3"])


def test_rest_and_names_left_out(put, tmp_path, fails):
    for name in "abcd":
        put(f"set/{name}/0.png")
    spec = f"folder:{tmp_path / 'set'}"
    assert labels(spec, ["rest", "a", "-d"]) == {"a": 1, "b": 0, "c": 0}
    assert labels(spec, ["new=a+b", "c"]) == {"a": 0, "b": 0, "c": 1}
    assert "unknown class 'e'" in fails(spec, classes=["rest", "a", "-e"])
    assert "unknown class 'rest'" in fails(spec, classes=["'rest'", "a"])


@pytest.mark.parametrize("text", ["a=", "=a", "a==b", "a+b", "a=b+", "a=+b", "'a", "'a'b", ""])
def test_entries_that_cannot_be_read(text):
    try:
        entry = read_entry(text)
    except UserError as error:
        assert "cannot be read" in str(error)  # noqa: PT017
    else:
        assert entry == Entry(text, (text,))  # a name, which no set has


@pytest.mark.parametrize("name", [*NAMES, "it's", '"', "''", "a 'b' c", ""])
def test_quoting_is_undone(name):
    assert read_entry(exact_names([name])[0]) == Entry(name, (name,))


def test_a_table_with_such_labels(put, tmp_path):
    for k in range(3):
        put(f"{k}.png")
    (tmp_path / "t.csv").write_text("image,label\n0.png,grade=1\n1.png,grade=2\n2.png,rest\n")
    images = open_images(f"csv:{tmp_path / 't.csv'}", classes=exact_names(["rest", "grade=2", "grade=1"]))
    assert images.labels.tolist() == [2, 1, 0]
    chosen = select_classes(images, exact_names(["grade=1", "rest"]))
    assert chosen.classes == ("grade=1", "rest")
