"""Checks of an evaluation: can its numbers be trusted? One function each."""

from .registry import CHECKS

__all__ = ["CHECKS"]
