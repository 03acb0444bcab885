"""One cell after the other, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..cell import Cell
from ..worker import Told, work
from .how import How
from .threads import computing_with, threads_of


def serial(todo: Sequence[Cell], cells: Path, told: Told, how: How | None = None) -> dict[str, str]:
    """Do the cells here; another command may work on the same folder at the same time.

    Args:
        todo: cells, those first that others need.
        cells: their folder.
        told: called with the key and the status of each cell that begins or ends.
        how: see `How`; there is one worker, here.
    """
    how = how or How()
    with computing_with(threads_of(how.threads)):
        return work(todo, cells, told, how.do)
