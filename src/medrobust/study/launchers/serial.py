"""One cell after the other, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import get_num_threads

from ..cell import Cell
from ..worker import Told, work
from .how import How
from .threads import computing_with, on_card, threads_of


def serial(todo: Sequence[Cell], cells: Path, told: Told, how: How | None = None) -> dict[str, str]:
    """Do the cells here; another command may work on the same folder at the same time.

    Args:
        todo: cells, those first that others need.
        cells: their folder.
        told: called with the key and the status of each cell that begins or ends.
        how: see `How`; there is one worker, here. Beside a graphics card it keeps the threads that it has.
    """
    how = how or How()
    with computing_with(how.threads or (get_num_threads() if on_card(todo) else threads_of())):
        return work(todo, cells, told, how.do)
