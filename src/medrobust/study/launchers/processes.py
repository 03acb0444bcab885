"""Several processes of this machine, each taking the next cell that is ready and free."""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from ...errors import UserError
from ...models.memory import free_bytes, keep_freed_memory
from ..cell import Cell
from ..worker import Do, Told, give_up, work
from .how import How
from .threads import cores, threads_of, threads_of_children, use_threads, workers_of

MOST_DEATHS = 2  # of workers at one cell, which has failed then
GRACE = 5.0  # seconds that a worker has to end when it is told to


def processes(todo: Sequence[Cell], cells: Path, told: Told, how: How | None = None) -> dict[str, str]:
    """Do the cells in processes that share the cores of this machine.

    A worker that dies is replaced, and its cell goes on where it stopped; a cell at which two have died has failed.
    When this ends, also by an interrupt, no worker is left.

    Args:
        todo: cells, those first that others need.
        cells: their folder.
        told: called with the key and the status of each cell that begins or ends.
        how: see `How`; an address is not used: the workers are all here.

    Errors: UserError when workers die before they begin.
    """
    how = how or How()
    each = threads_of(how.threads)
    num = max(1, min(workers_of(how.workers, each, cores(), free_bytes(torch.device("cpu"))), len(todo)))
    crew = _Crew(todo, cells, how.do, each)
    ended: dict[str, str] = {}
    deaths: Counter[str] = Counter()
    try:
        for _ in range(num):
            crew.add()
        while crew.members:
            for member, said in crew.heard():
                if said is not None:
                    key, status = said
                    member.cell = key if status == "begun" else None if member.cell == key else member.cell
                    if status == "begun" or ended.get(key) != status:
                        told(key, status)
                    if status != "begun":
                        ended[key] = status
                    continue
                code = crew.remove(member)
                if code == 0:
                    continue
                if member.cell is not None:
                    deaths[member.cell] += 1
                    if deaths[member.cell] >= MOST_DEATHS:
                        cell = next(one for one in todo if one.key == member.cell)
                        give_up(cells, cell, f"{MOST_DEATHS} workers died at it, the last {_how(code)}")
                    crew.add()
                elif not crew.members and len(ended) < len(todo):
                    raise UserError("workers", f"all have died, the last {_how(code)}", "see what they said above")
    finally:
        crew.end()
    return ended


def _how(code: int | None) -> str:
    if code is None or code >= 0:
        return f"with exit code {code}"
    name = signal.Signals(-code).name if -code in {one.value for one in signal.Signals} else str(-code)
    return f"by {name}" + (", maybe for lack of memory" if name == "SIGKILL" else "")


@dataclass
class _Member:
    """A worker, what comes from it, and the key of the cell that it is at."""

    process: BaseProcess
    ear: Connection
    cell: str | None = None


class _Crew:
    """The processes that are at work."""

    def __init__(self, todo: Sequence[Cell], cells: Path, do: Do | None, threads: int) -> None:
        self._work, self._threads = (list(todo), cells, do, threads), threads
        self.members: list[_Member] = []

    def add(self) -> None:
        context = get_context("spawn")
        ear, mouth = context.Pipe(duplex=False)  # one each: a worker that is killed leaves no lock behind
        process = context.Process(target=_member, args=(mouth, *self._work))
        with threads_of_children(self._threads):
            process.start()
        mouth.close()  # so that the end of the worker is the end of the pipe
        self.members.append(_Member(process, ear))

    def heard(self) -> list[tuple[_Member, tuple[str, str] | None]]:
        """What workers said; None of one that has ended."""
        ready = wait([member.ear for member in self.members])
        found: list[tuple[_Member, tuple[str, str] | None]] = []
        for member in self.members:
            if member.ear in ready:
                try:
                    found.append((member, member.ear.recv()))
                except (EOFError, OSError):
                    found.append((member, None))
        return found

    def remove(self, member: _Member) -> int | None:
        self.members.remove(member)
        member.ear.close()
        member.process.join()
        return member.process.exitcode

    def end(self) -> None:
        for member in self.members:
            member.process.terminate()
        for member in list(self.members):
            member.process.join(GRACE)
            member.process.kill()
            self.remove(member)


def _member(mouth: Connection, todo: Sequence[Cell], cells: Path, do: Do | None, threads: int) -> None:
    """What a worker does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    use_threads(threads)
    keep_freed_memory()  # this process is ours
    work(todo, cells, partial(_say, mouth), do)
    mouth.close()


def _say(mouth: Connection, key: str, status: str) -> None:
    mouth.send((key, status))


def _end_with_parent() -> None:
    """End at once when the parent is gone, however it went: its cell goes on in the next run."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
