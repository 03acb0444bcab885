"""The checks of an audit. Adding one is a function and a line in CHECKS."""

from __future__ import annotations

from ..context import Check
from .budgets import below_half_grey_level, largest_budget_breaks_all, reach
from .contract import gradients, head, own_input, saturation
from .data import data_findings
from .facts import class_order, normalization, sources, trained_on
from .finite import finite_under_attack
from .function import differences, inner_loop, input_range, precision
from .model import answers_something, batch_independent, deterministic
from .proof import active, closed_form
from .rows import inside_budget, last_point, monotone, steps_help
from .sample import broken_files, enough_images
from .stronger import black_box, convergence, unbounded

CHECKS: list[Check] = [
    active,
    closed_form,
    unbounded,
    convergence,
    black_box,
    steps_help,
    monotone,
    last_point,
    inside_budget,
    gradients,
    saturation,
    head,
    own_input,
    differences,
    inner_loop,
    precision,
    input_range,
    finite_under_attack,
    class_order,
    normalization,
    trained_on,
    sources,
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
