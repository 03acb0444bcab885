"""How the cores of a machine are divided among workers.

Launchers give equal rows at equal numbers of threads (OMP_NUM_THREADS): with another number, sums are added in another
order, and trained weights differ in their last bits.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_each(workers: int, available: int) -> int:
    """The threads of each worker: its share of the cores, and never more than OMP_NUM_THREADS says.

    Example:
        >>> threads_each(2, 8) <= 4, threads_each(9, 8)
        (True, 1)
    """
    share = max(1, available // max(workers, 1))
    given = os.environ.get(VARIABLES[0], "")
    return min(share, max(1, int(given))) if given.isdecimal() else share


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
