"""The rule by which images go to a person: chosen as a loop over thresholds would, kept in a file, applied again."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrobust.errors import UserError
from medrobust.models import Classifier, save_checkpoint
from medrobust.predicting.rule import FILE, Rule, choose, operating_point, read_rule, write_rule
from medrobust.records.referral import Answers

N = 40


def case(seed: int) -> tuple[np.ndarray, Answers]:
    """Scores with ties, and answers that are the more often right the larger they are."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 12, N) / 12
    labels = rng.integers(0, 2, N)
    predictions = np.where(rng.random(N) < 0.3 + 0.7 * values, labels, 1 - labels)
    p = np.where(predictions == 1, 0.5 + values / 2, 0.5 - values / 2)
    return values, Answers(labels, predictions, np.stack([1 - p, p], 1))


def kept(values: np.ndarray, answers: Answers, threshold: float) -> dict[str, float]:
    """By a loop: what is referred and how those kept are answered."""
    held = [i for i in range(N) if values[i] >= threshold]
    positive = [i for i in held if answers.labels[i] == 1]
    hits = [i for i in held if answers.labels[i] == answers.predictions[i]]
    return {
        "rate": 1 - len(held) / N,
        "accuracy": len(hits) / len(held) if held else float("nan"),
        "sensitivity": len(set(hits) & set(positive)) / len(positive) if positive else float("nan"),
    }


@given(
    st.integers(0, 2**20), st.sampled_from(["accuracy", "sensitivity", "rate"]), st.sampled_from([0.1, 0.3, 0.8, 0.9])
)
def test_the_fewest_images_are_referred_that_give_what_is_wanted(seed: int, kind: str, goal: float) -> None:
    values, answers = case(seed)
    correct = answers.labels == answers.predictions
    options = [kept(values, answers, t) for t in sorted({*values.tolist()})]
    if kind == "rate":
        wanted = max((o["rate"] for o in options if o["rate"] <= goal + 1e-9), default=None)
    else:
        wanted = min((o["rate"] for o in options if o[kind] >= goal), default=None)
    for score, signed in (("confidence", values), ("entropy", -values)):
        if wanted is None:
            with pytest.raises(UserError, match="no threshold"):
                choose(score, signed, correct, answers, np.arange(N), {kind: goal})
            continue
        rule = choose(score, signed, correct, answers, np.arange(N), {kind: goal})
        assert rule.refers(signed).mean() == pytest.approx(wanted)
        assert rule.reached["rate"]["value"] == pytest.approx(wanted, abs=1e-6)
        found = kept(values, answers, values[~rule.refers(signed)].min())
        for name in ("accuracy", "sensitivity"):
            value = rule.reached[name]["value"]
            assert value == pytest.approx(found[name], abs=1e-6) or (value is None and np.isnan(found[name]))


def test_images_that_no_attack_changed_are_kept() -> None:
    values = np.array([0.01, 0.02, np.inf, np.inf])
    answers = Answers(np.array([0, 1, 0, 1]), np.array([1, 0, 0, 1]), np.full((4, 2), 0.5))
    rule = choose(
        "smallest_change", values, answers.labels == answers.predictions, answers, np.arange(4), {"accuracy": 1.0}
    )
    assert rule.refers(values).tolist() == [True, True, False, False]
    assert 0.02 < rule.threshold < 0.021


@given(st.integers(0, 2**20))
def test_the_operating_point_is_that_of_a_loop_over_all_thresholds(seed: int) -> None:
    _, answers = case(seed)
    p, truth = answers.scores[:, 1].tolist(), (answers.labels == 1).tolist()
    if all(truth) or not any(truth):
        return

    def rates(t: float) -> tuple[float, float]:
        hit = sum(a >= t and b for a, b in zip(p, truth, strict=True)) / sum(truth)
        return hit, sum(a < t and not b for a, b in zip(p, truth, strict=True)) / (N - sum(truth))

    best = max(sum(rates(t)) for t in p)
    found = operating_point(answers, np.arange(N))
    assert sum(rates(found["threshold"])) == pytest.approx(best)
    assert found["sensitivity"]["value"] == pytest.approx(rates(found["threshold"])[0], abs=1e-6)
    assert found["specificity"]["value"] == pytest.approx(rates(found["threshold"])[1], abs=1e-6)
    assert operating_point(answers, np.arange(N), 0.9)["threshold"] == max(t for t in p if rates(t)[0] >= 0.9)


def test_a_rule_is_read_as_it_was_written_and_another_file_is_refused(tmp_path: Path) -> None:
    from torch import nn

    save_checkpoint(tmp_path, Classifier(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), channels=1, classes=("a", "b")))
    assert read_rule(tmp_path) is None
    rule = Rule("entropy", 0.5, {"rate": 0.1}, operating_point={"threshold": 0.3, "positive_class": "b"})
    write_rule(tmp_path, rule)
    assert read_rule(tmp_path) == rule
    for change in ({"schema": "other"}, {"score": "age"}, {"threshold": "low"}):
        content = {"schema": "medrobust.referral/1", **dataclasses.asdict(rule), **change}
        (tmp_path / FILE).write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(UserError, match=FILE):
            read_rule(tmp_path)
