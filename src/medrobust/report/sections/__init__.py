"""One file per section of the report, with its template beside it."""

from .registry import SECTIONS
from .section import Section, Seen

__all__ = ["SECTIONS", "Section", "Seen"]
