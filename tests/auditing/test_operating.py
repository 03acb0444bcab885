"""A stated prevalence and a saved operating point reach the numbers of an audit, or are refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medrobust.auditing.operating import operating_point, prevalences
from medrobust.auditing.summary import summarize
from medrobust.data import ImageSet
from medrobust.errors import UserError
from medrobust.measuring.outcome import Grid
from medrobust.predicting.rule import Rule, write_rule
from medrobust.recipes.parts import DataSpec
from medrobust.testing.image_sets import tiny_set
from records.tables import make_records


def test_a_prevalence_is_of_the_positive_class_or_of_the_classes_that_are_named() -> None:
    two = tiny_set(4)
    assert prevalences(None, two) == {}
    assert prevalences(0.1, two) == {1: 0.1, 0: 0.9}
    assert prevalences({two.classes[0]: 0.2}, two) == {0: 0.2, 1: 0.8}
    three = ImageSet.of(np.zeros((3, 1, 2, 2), np.float32), [0, 1, 2], classes=["a", "b", "c"])
    assert prevalences({"b": 0.2, "c": 0.1}, three) == {1: 0.2, 2: 0.1}


@pytest.mark.parametrize(
    ("given", "words"),
    [(0.1, "no positive class"), ({"d": 0.1}, "no class of the images"), ({"a": 0.7, "b": 0.6}, "add up to 1.3")],
)
def test_what_is_no_prevalence_of_three_classes_is_refused(given: object, words: str) -> None:
    three = ImageSet.of(np.zeros((3, 1, 2, 2), np.float32), [0, 1, 2], classes=["a", "b", "c"])
    with pytest.raises(UserError, match=words):
        prevalences(given, three)  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_a_prevalence_is_a_share(share: float) -> None:
    with pytest.raises(UserError, match="between 0 and 1"):
        DataSpec(prevalence=share)
    with pytest.raises(UserError, match="between 0 and 1"):
        DataSpec(prevalence={"a": share})


def saved(folder: Path, point: object, weights: str = "abc") -> Path:
    (folder / "referral.json").write_text(json.dumps({"model_sha256": weights, "operating_point": point}))
    return folder


def test_an_operating_point_is_read_beside_the_card(tmp_path: Path) -> None:
    images = tiny_set(4)
    own = {"threshold": 0.2, "positive_class": images.classes[1]}
    assert operating_point(tmp_path, "abc", images) is None
    assert operating_point(saved(tmp_path, own), "abc", images) == 0.2
    assert operating_point(tmp_path, "of other weights", images) is None
    for unusable in (None, True, 0.4, own | {"positive_class": images.classes[0]}, own | {"threshold": 1.5}):
        assert operating_point(saved(tmp_path, unusable), "abc", images) is None


def test_what_refer_saves_is_what_an_audit_reads(tmp_path: Path) -> None:
    images = tiny_set(4)
    point = {"positive_class": images.classes[1], "threshold": 0.3}
    write_rule(tmp_path, Rule("confidence", 0.8, {"rate": 0.1}, model_sha256="abc", operating_point=point))
    assert operating_point(tmp_path, "abc", images) == 0.3


def test_both_are_said_and_used() -> None:
    labels = [0] * 20 + [1] * 20
    records = make_records(labels, [0] * 30 + [1] * 10, {("a", "linf"): {0.1: [0] * 40}}, confidence=[0.6] * 40)
    grids = (Grid("linf", (0.1,)),)
    given = {"classes": ("benign", "malignant"), "positive": 1, "grids": grids, "resolutions": [1 / 255]}
    usual = summarize(records, **given)["clean"]
    assert (usual["operating_point"], usual["prevalence"]) == ("argmax", "of the images")
    assert (usual["sensitivity"]["value"], usual["ppv"]["value"], usual["npv"]["value"]) == (0.5, 1.0, 0.666667)
    found = summarize(records, **given, prevalence={1: 0.1, 0: 0.9}, operating_point=0.35)
    clean = found["clean"]
    assert (clean["operating_point"], clean["prevalence"]) == ({"threshold": 0.35}, {"malignant": 0.1, "benign": 0.9})
    # Everything has a probability of .4 or .6 of malignant: all are read as it.
    assert (clean["sensitivity"]["value"], clean["specificity"]["value"]) == (1.0, 0.0)
    assert clean["ppv"]["value"] == pytest.approx(0.1)
    assert clean["accuracy"] == usual["accuracy"]
    rows = {(row["class"], row["norm"], row["epsilon"]): row for row in found["per_class"]}
    assert rows["malignant", None, 0.0]["sensitivity"]["value"] == 1.0
    assert set(rows) == {(c, n, e) for c in ("benign", "malignant") for n, e in ((None, 0.0), ("linf", 0.1))}
