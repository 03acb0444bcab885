"""What would make a claim look better than it is is told, or proves nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from medrobust.study.hypotheses import NOT_SHOWN

from .make_outcomes import (
    BETTER,
    condition,
    first,
    of,
    outcome,
    study,
)

# better


@pytest.mark.parametrize(("gain", "p"), [(0.0, 1.0), (0.25, math.nan)])
def test_two_pairs_that_differ_alike_prove_nothing(gain: float, p: float) -> None:
    cells = []
    for split in ("0", "1"):
        for name, value in (("old", 0.5), ("new", 0.5 + gain)):
            found = condition(first(50), "worst", 1 / 255, f1=value)
            cells.append(outcome({"training": name, "split": split}, [found], 100))
    found = of(study(cells, [BETTER | {"metric": "f1"}]))
    assert found.verdict == NOT_SHOWN
    assert found.p == pytest.approx(p, nan_ok=True)
    same = of(study(cells, [BETTER | {"kind": "equal", "margin": 0.3, "metric": "f1"}]))
    assert same.verdict == NOT_SHOWN


def test_two_sides_that_are_one_network_are_told() -> None:
    cells = [outcome({"training": name}, [condition(first(50), "worst", 1 / 255)], 100) for name in ("old", "new")]
    same = [replace(one, result={**one.result, "weights": "a"}) for one in cells]
    other = [same[0], replace(same[1], result={**same[1].result, "weights": "b"})]
    assert "in 1 pair both sides are one network, trained twice" in of(study(same, [BETTER])).words
    assert "one network" not in of(study(other, [BETTER])).words


@pytest.mark.parametrize(("rate", "told"), [(70, True), (66, True), (74, True), (60, False), (80, False)])
def test_an_accuracy_that_one_answer_would_reach_is_told(rate: int, told: bool) -> None:
    cells = []
    for name, hits in (("old", 20), ("new", rate)):
        made = outcome({"training": name}, [condition(first(hits), "worst", 1 / 255)], 100)
        labels = [int(i >= 70) for i in range(100)]  # 70 of 100 images are of one class
        cells.append(replace(made, result={**made.result, "labels": labels}))
    words = of(study(cells, [BETTER])).words
    assert ("would be right in 70.0 %, under any attack" in words) == told
