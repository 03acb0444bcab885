"""The audit of a classifier: one directory with rows, summary, findings, pictures."""

from .audit import read_audit, run_audit
from .setup import AuditSpec

__all__ = ["AuditSpec", "read_audit", "run_audit"]
