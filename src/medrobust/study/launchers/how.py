"""How cells are spread: what every launcher is told."""

from __future__ import annotations

from dataclasses import dataclass

from ..worker import Do


@dataclass(frozen=True)
class How:
    """What a launcher is told beside the cells, their folder and whom to tell.

    Args:
        workers: how many cells at once; 0 is as many as cores and memory hold. The launcher serial has one.
        address: of a Ray cluster, as ray://HOST:10001 or HOST:6379; else what RAY_ADDRESS says, else this machine.
        do: what is done with a cell; see `medrobust.study.worker.do_cell`. A function that a module holds.
        threads: of each cell; see `threads_of`.
    """

    workers: int = 0
    address: str | None = None
    do: Do | None = None
    threads: int = 0
