"""With how many threads a cell computes, and how many cells a machine does at once.

Rows are equal under every launcher at equal numbers of threads: with another number, sums are added in another order,
and trained weights differ in their last bits. So a cell has one thread unless somebody asks for more, wherever it runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ...errors import UserError
from ..cell import Cell

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
WORKER_BYTES = 2**31  # of free memory for each worker, where nobody says how many there are


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_counts(workers: int, threads: int) -> None:
    """Refuse negative numbers of workers or threads. Errors: UserError."""
    if workers < 0:
        raise UserError("--workers", f"{workers} is negative", "0 is as many as cores and memory hold")
    if threads < 0:
        raise UserError("--threads", f"{threads} is negative", "0 leaves it to medrobust")


def threads_of(given: int = 0) -> int:
    """The threads of a cell: as many as are given, else as OMP_NUM_THREADS says, else one.

    Example:
        >>> threads_of(3)
        3
    """
    said = os.environ.get(VARIABLES[0], "")
    return given or (max(1, int(said)) if said.isdecimal() else 1)


def on_card(todo: Iterable[Cell]) -> bool:
    """Whether a graphics card computes some of these cells; what a processor adds to it does not depend on threads."""
    from torch.cuda import is_available

    return is_available() and any(str(cell.recipe.get("device", "auto")) != "cpu" for cell in todo)


def workers_of(given: int, threads: int, available: int, free: float) -> int:
    """How many workers share a machine: as many as are given, else as its cores and its memory hold.

    Args:
        given: by a person; 0 is none.
        threads: of each.
        available: cores.
        free: bytes of memory.

    Example:
        >>> workers_of(0, 1, 8, 64 * 2**30), workers_of(0, 4, 8, 64 * 2**30), workers_of(0, 1, 8, 5 * 2**30)
        (8, 2, 2)
    """
    return given or max(1, min(available // threads, int(free // WORKER_BYTES)))


@contextmanager
def threads_of_children(num: int) -> Iterator[None]:
    """Processes that start meanwhile compute with so many threads."""
    before = {name: os.environ.get(name) for name in VARIABLES}
    os.environ.update(dict.fromkeys(VARIABLES, str(num)))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def use_threads(num: int) -> None:
    """Let torch compute with so many threads, where it was loaded before it could read the environment."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(num)


@contextmanager
def computing_with(num: int) -> Iterator[None]:
    """Torch computes with so many threads meanwhile."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(num)
    try:
        yield
    finally:
        torch.set_num_threads(before)
