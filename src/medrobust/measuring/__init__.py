"""Measuring: attacks on images at budgets, every success checked again; rows come out."""

from .measure import measure
from .outcome import Grid, Outcome
from .plan import Plan
from .sweep import Effort, sweep

__all__ = ["Effort", "Grid", "Outcome", "Plan", "measure", "sweep"]
