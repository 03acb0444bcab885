"""What all tests share: a seed, examples that are the same in every run, a test of a distribution."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import Phase, settings
from torch import Tensor

settings.register_profile("fast", deadline=None, max_examples=60, derandomize=True, database=None)
# For scripts/mutate.py, which wants to know that a test fails and not the simplest reason.
settings.register_profile(
    "fails", settings.get_profile("fast"), max_examples=30, phases=(Phase.explicit, Phase.generate)
)
settings.load_profile("fast")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def is_uniform() -> Callable[[Tensor], bool]:
    """Kolmogorov-Smirnov against U(0, 1): wrong about a true uniform sample once in 10,000."""

    def check(values: Tensor) -> bool:
        ordered = values.double().flatten().sort().values
        grid = torch.arange(len(ordered) + 1, dtype=torch.float64) / len(ordered)
        gap = torch.maximum((ordered - grid[:-1]).abs(), (ordered - grid[1:]).abs()).max()
        return float(gap) * math.sqrt(len(ordered)) < 2.23

    return check
