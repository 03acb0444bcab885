"""The checks of an audit. Adding one is a function and a line in CHECKS."""

from __future__ import annotations

from ..context import Check
from .budgets import below_half_grey_level, largest_budget_breaks_all, reach
from .data import data_findings
from .model import answers_something, batch_independent, deterministic
from .sample import broken_files, enough_images

CHECKS: list[Check] = [
    deterministic,
    batch_independent,
    answers_something,
    reach,
    largest_budget_breaks_all,
    below_half_grey_level,
    enough_images,
    broken_files,
    data_findings,
]
