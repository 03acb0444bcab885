"""What stands beside report.html for programs, checklists and model cards: pure functions of audit.json."""

from .write import EXPORTS, exports

__all__ = ["EXPORTS", "exports"]
