"""A small part of scripts/coverage.py: intervals hold the truth about as often as they say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from medrobust.records.intervals import Estimate

SCRIPT = Path(__file__).parents[2] / "scripts" / "coverage.py"


@pytest.fixture(scope="module")
def coverage() -> ModuleType:
    spec = importlib.util.spec_from_file_location("coverage_of_intervals", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_intervals_hold_the_truth(coverage: ModuleType) -> None:
    """80 repetitions of 8 cells of each metric: a standard error of 0.9 % for 95 %."""
    found = list(coverage.cells(80, groups=(20, 100), rates=(0.8, 0.95)))
    assert len(found) == 8 * len(coverage.SIMULATIONS)
    for metric in coverage.SIMULATIONS:
        held = [one["coverage"] for one in found if one["metric"] == metric]
        assert 0.925 <= np.mean(held) <= 0.995, metric
        assert min(held) >= 0.86, metric


def test_the_simulation_sees_intervals_that_are_too_short(
    coverage: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images of a patient counted as independent: the intervals of three alike images hold the truth less often."""
    honest = coverage.share
    monkeypatch.setattr(coverage, "SIMULATIONS", {"accuracy": coverage.accuracy})

    def pretended(right: np.ndarray, sizes: np.ndarray) -> Estimate:
        n, hits = int(sizes.sum()), int(right.sum())
        return honest((np.arange(n) < hits).astype(int), np.ones(n, dtype=int))

    monkeypatch.setattr(coverage, "share", pretended)
    found = {one["images"]: one["coverage"] for one in coverage.cells(200, groups=(100,), rates=(0.8,))}
    assert found["clustered"] < 0.9 < found["independent"]


def test_the_truth_of_average_precision_is_that_of_a_large_sample(coverage: ModuleType) -> None:
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(0)
    truth = np.arange(300_000) % 3 == 0
    score = rng.normal(size=len(truth)) + 1.5 * truth
    assert coverage.true_precision(1.5, 1 / 3) == pytest.approx(average_precision_score(truth, score), abs=0.003)
