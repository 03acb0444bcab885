"""What these tests share: few draws of the bootstrap."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from medrobust.records import Resampler


@pytest.fixture(autouse=True, scope="session")
def _few_draws() -> Iterator[None]:
    """Intervals are tested elsewhere; a thousand draws of each take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("medrobust.auditing.summary.Resampler", partial(Resampler, num_draws=10))
        yield
