"""Checks of an evaluation: can its numbers be trusted? One function each."""

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

__all__ = ["CHECKS"]
