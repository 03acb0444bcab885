"""The audit of a classifier: one directory with rows, summary, findings, pictures."""

from .audit import read_audit, run_audit

__all__ = ["read_audit", "run_audit"]
