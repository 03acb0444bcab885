"""Which checks an audit makes, for those that make many audits."""

from __future__ import annotations

from ..context import Check
from .budgets import below_half_grey_level, largest_budget_breaks_all, reach
from .contract import gradients, saturation
from .model import answers_something
from .proof import active
from .registry import CHECKS
from .rows import inside_budget, last_point, monotone
from .sample import broken_files, enough_images

# What needs little more than the rows.
_ROWS: list[Check] = [monotone, last_point, inside_budget, gradients, saturation, answers_something]
_ROWS += [reach, largest_budget_breaks_all, below_half_grey_level, enough_images, broken_files]

CHOICES: dict[str, list[Check]] = {
    "rows": _ROWS,
    "proof": [active, *_ROWS],  # with the test that the attacks work on this very model
    "all": CHECKS,
    "none": [],
}
