"""One cell after the other, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..cell import Cell
from ..worker import Do, Told, work
from .threads import computing_with, threads_of


def serial(
    todo: Sequence[Cell],
    cells: Path,
    told: Told,
    workers: int = 0,
    address: str | None = None,
    do: Do | None = None,
    threads: int = 0,
) -> dict[str, str]:
    """Do the cells here; another command may work on the same folder at the same time.

    Args:
        todo: cells, those first that others need.
        cells: their folder.
        told: called with the key and the status of each cell that begins or ends.
        workers, address: not used: there is one worker, here.
        do: see `medrobust.study.worker.do_cell`.
        threads: of each cell; see `threads_of`.
    """
    with computing_with(threads_of(threads)):
        return work(todo, cells, told, do)
