"""One cell after the other, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..cells import Cell
from ..worker import Told, work


def serial(todo: Sequence[Cell], cells: Path, told: Told, again: Sequence[str], workers: int) -> dict[str, str]:
    """Do the cells here; another command may work on the same folder at the same time.

    Args:
        todo: cells, those first that others need.
        cells: their folder.
        told: called with the key and the status of each cell that ends.
        again: keys of failed cells to do again.
        workers: not used: there is one.
    """
    return work(todo, cells, told, again=again)
