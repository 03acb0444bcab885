"""Rows, and what they say: curves, intervals, sensitivity, referral and groups, as pure functions of the rows."""

from .curves import Curve, correct_under, curves, worst_case
from .intervals import Estimate, Grouping, wilson
from .metrics import clean_metrics
from .records import Records
from .referral import referral
from .sensitivity import Sensitivity, sensitivity

__all__ = [
    "Curve",
    "Estimate",
    "Grouping",
    "Records",
    "Sensitivity",
    "clean_metrics",
    "correct_under",
    "curves",
    "referral",
    "sensitivity",
    "wilson",
    "worst_case",
]
