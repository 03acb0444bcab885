"""Checks of an audit: can its numbers be trusted? Each is one function."""

from .registry import CHECKS

__all__ = ["CHECKS"]
