"""Confusion matrices against scikit-learn, and the moves between them by hand."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from medrobust.auditing.summary import summarize
from medrobust.measuring.outcome import Grid
from medrobust.records.confusion import confusion, flows
from medrobust.records.worst_answers import untouched, worst_answers
from medrobust.report.ribbons import FORMS, HEIGHT, flow_svg, ribbons
from medrobust.report.sections.confusion import confusions
from medrobust.report.words import Budget
from records.tables import make_records

LABELS = [0, 0, 1, 1, 2, 2]
CLEAN = [0, 1, 1, 1, 2, 0]
PGD = {0.01: [1, 1, 1, 2, 2, 0], 0.1: [1, 2, 2, 2, 0, 2]}


def test_matrices_are_those_of_scikit_learn_and_moves_sum_to_them() -> None:
    source = np.random.default_rng(0)
    for _ in range(5):
        labels, clean, attacked = source.integers(0, 4, (3, 60)).tolist()
        rows = make_records(labels, clean, {("pgd", "linf"): {0.1: attacked}}, num_classes=4, protocol="paper")
        before, (now,) = untouched(rows), worst_answers(rows, "linf")
        found = confusion(rows.clean["label"], before, now)
        assert np.array_equal(found.matrix, confusion_matrix(labels, now.prediction, labels=range(4)))
        assert np.array_equal(found.moves.sum(2), confusion_matrix(labels, clean, labels=range(4)))
        moved = sum(count for *_, count in flows(found))
        assert moved == sum(a != b for a, b in zip(clean, now.prediction.tolist(), strict=True))


def test_who_went_where_by_hand() -> None:
    rows = make_records(LABELS, CLEAN, {("pgd", "linf"): PGD}, num_classes=3)
    first = next(worst_answers(rows, "linf"))
    found = confusion(rows.clean["label"], untouched(rows), first)
    assert found.matrix.tolist() == [[0, 2, 0], [0, 1, 1], [1, 0, 1]]
    assert flows(found) == [(0, 0, 1, 1), (1, 1, 2, 1)]
    assert flows(confusion(rows.clean["label"], untouched(rows), untouched(rows))) == []


def test_the_report_shows_the_matrix_of_its_budget_and_its_accuracy() -> None:
    rows = make_records(LABELS, CLEAN, {("pgd", "linf"): PGD}, num_classes=3)
    names = ("a", "b", "c")
    audit = summarize(rows, classes=names, positive=None, grids=(Grid("linf", (0.01, 0.1)),), resolutions=[1 / 255])
    for row in audit["confusion"][1:]:
        share = np.trace(np.array(row["matrix"])) / 6
        accuracy = next(w["robust_accuracy"]["value"] for w in audit["worst_case"] if w["epsilon"] == row["epsilon"])
        assert round(share, 6) == round(accuracy, 6)
    shown = confusions({**audit, "data": {"classes": list(names)}}, Budget("linf", 0.01))
    assert shown is not None
    assert shown["tables"][0][1][0] == ["1 (50%)", "1 (50%)", "0 (0%)"]
    assert shown["tables"][1][1][0] == ["0 (0%)", "2 (100%)", "0 (0%)"]
    assert [(f["truth"], f["before"], f["after"], f["harm"]) for f in shown["flows"]] == [
        ("a", "a", "b", "lost"),
        ("b", "b", "c", "lost"),
    ]
    assert confusions({"data": {"classes": list(names)}}, Budget("linf", 0.01)) is None


@pytest.mark.parametrize("num_classes", [2, 4, 8, 9])
def test_ribbons_are_as_thick_as_the_moves(num_classes: int) -> None:
    source = np.random.default_rng(num_classes)
    k, names = num_classes, [f"class {i}" for i in range(num_classes)]
    labels, clean, attacked = source.integers(0, k, (3, 90)).tolist()
    rows = make_records(labels, clean, {("pgd", "linf"): {0.1: attacked}}, num_classes=k, protocol="paper")
    audit = summarize(rows, classes=tuple(names), positive=None, grids=(Grid("linf", (0.1,)),), resolutions=[1 / 255])
    before, now = audit["confusion"]
    found = ribbons(before["matrix"], now["flows"])
    moves = np.zeros((k, k, k), dtype=int)
    for one in found:
        moves[one.truth, one.before, one.after] += one.images
    answers = next(worst_answers(rows, "linf")).prediction
    assert np.array_equal(moves.sum(1), confusion_matrix(labels, answers, labels=range(k)))
    assert np.array_equal(moves.sum(2), confusion_matrix(labels, clean, labels=range(k)))
    for form in FORMS:
        svg = flow_svg(names, found, form)
        if k > 8:
            assert svg == ""
            continue
        drawn = re.findall(r'd="M[\d.]+ ([\d.]+)C[^"v]* ([\d.]+)v([\d.]+)C[^"]*z" class="ribbon k(\d)"', svg)
        thick = np.zeros(k)
        for _, _, height, truth in drawn:
            thick[int(truth)] += float(height) * 90 / HEIGHT
        assert thick == pytest.approx(np.bincount(labels, minlength=k), abs=0.2)
        assert [round(float(height) * 90 / HEIGHT) for _, _, height, _ in drawn] == [one.images for one in found]
        for side in (0, 1):  # no ribbon lies over another, on either side
            edges = sorted((float(row[side]), float(row[2])) for row in drawn)
            assert all(a + height <= b + 0.02 for (a, height), (b, _) in itertools.pairwise(edges))
        bars = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="7" height="([\d.]+)"', svg)
        left = [float(height) * 90 / HEIGHT for x, height in bars if float(x) < form.width / 2]
        right = [float(height) * 90 / HEIGHT for x, height in bars if float(x) > form.width / 2]
        assert left == pytest.approx(np.bincount(clean, minlength=k), abs=0.02)
        assert right == pytest.approx(np.bincount(answers, minlength=k), abs=0.02)
