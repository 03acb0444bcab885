"""Measuring: attacks on images at budgets, every success checked again; rows come out."""

from .measure import Plan, measure
from .outcome import Grid, Outcome
from .sweep import Effort, sweep

__all__ = ["Effort", "Grid", "Outcome", "Plan", "measure", "sweep"]
