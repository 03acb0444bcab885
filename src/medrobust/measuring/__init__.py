"""Measuring: rows first, then curves, intervals, sensitivity, referral and groups as pure functions of the rows."""

from .curves import Curve, correct_under, curves, worst_case
from .measure import Plan, measure
from .metrics import Estimate, Resampler, clean_metrics, wilson
from .outcome import Grid, Outcome
from .records import Records
from .sensitivity import Sensitivity, sensitivity
from .sweep import Effort, sweep

__all__ = [
    "Curve",
    "Effort",
    "Estimate",
    "Grid",
    "Outcome",
    "Plan",
    "Records",
    "Resampler",
    "Sensitivity",
    "clean_metrics",
    "correct_under",
    "curves",
    "measure",
    "sensitivity",
    "sweep",
    "wilson",
    "worst_case",
]
