"""The report of a run: one self-contained HTML file that a medical reader understands without us."""

from .html import write_report

__all__ = ["write_report"]
