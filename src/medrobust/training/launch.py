"""One process, or a group of them: each takes its share of every batch, and one that dies ends them all."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, cast

import torch

from ..errors import UserError
from ..faults import ElsewhereError, described, told
from ..models.memory import keep_freed_memory
from ..progress import Report
from .collapse import CollapsedError

GRACE = 5.0  # seconds in which the reason of a failure may arrive: often one process fails because another died


def alone(device: str) -> Any:
    """The Fabric of a single process."""
    return _fabric(device, 1)


def _fabric(device: str, num: int, spares: bool = False) -> Any:
    from lightning_fabric import Fabric

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    group = "ddp_find_unused_parameters_true" if spares else "ddp"
    strategy = group if num > 1 else "auto"
    fabric = Fabric(accelerator=device, devices=num, strategy=strategy)
    fabric.launch()
    return fabric


def in_processes(
    share: Callable[..., Any],
    arguments: tuple[Any, ...],
    num: int,
    device: str,
    folder: Path,
    report: Report | None,
    say: Callable[[str], None],
    *,
    spares: bool = False,
) -> Any:
    """What share(fabric, *arguments, report=..., say=...) returns in the first of `num` processes of a group.

    Args:
        share, arguments: what each process does; picklable.
        num, device: how many processes, and where.
        folder: of the run, for messages.
        report, say: called in this process with what the others report and say.
        spares: whether some losses leave weights out.

    Errors: the first UserError or CollapsedError of any process; UserError when one was killed; ElsewhereError when
        one failed otherwise. No process is left.
    """
    context = multiprocessing.get_context("spawn")
    port = _free_port()
    members, pipes = [], []
    try:
        for rank in range(num):
            receiver, sender = context.Pipe(duplex=False)
            settings = (share, arguments, rank, num, device, port, sender, spares)
            process = context.Process(target=_member, args=settings, name=f"process {rank + 1} of {num}")
            process.start()
            sender.close()
            members.append(process)
            pipes.append(receiver)
        return _follow(members, pipes, folder, report, say)
    finally:
        for process in members:
            process.kill()
            process.join()


def _follow(members: list[Any], pipes: list[Connection], folder: Path, report: Report | None, say: Any) -> Any:
    """Pass on what the processes say until all have ended, or one has failed."""
    open_pipes, results, crash = list(pipes), {}, ("a process of the group failed", "")
    deadline: float | None = None
    while open_pipes and (deadline is None or time.monotonic() < deadline):
        for pipe in cast(list[Connection], wait(open_pipes, timeout=0.5)):
            try:
                kind, *content = pipe.recv()
            except (EOFError, OSError):
                open_pipes.remove(pipe)
                continue
            if kind == "error":
                raise content[0]
            if kind == "crash":
                crash = tuple(content)
            elif kind == "result":
                results[pipe] = content[0]
            elif kind == "say":
                say(*content)
            elif report is not None:
                report(*content)
        if deadline is None and any(member.exitcode not in (None, 0) for member in members):
            deadline = time.monotonic() + GRACE
    for member in members:
        member.join(max(0.0, deadline - time.monotonic()) if deadline else None)
    for member in members:
        if member.exitcode is not None and member.exitcode < 0:
            name = signal.Signals(-member.exitcode).name
            reason = f"{member.name} was ended by {name}, and training with it"
            raise UserError(str(folder), reason, "the same command goes on where it stopped")
    if len(results) < len(members):
        raise ElsewhereError(*crash)
    return results[pipes[0]]


def _member(
    share: Callable[..., Any],
    arguments: tuple[Any, ...],
    rank: int,
    num: int,
    device: str,
    port: int,
    pipe: Connection,
    spares: bool,
) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    os.environ.update(address)
    keep_freed_memory()  # this process is ours
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // num))

    def report(what: str, done: int, of: int) -> None:
        pipe.send(("report", what, done, of))

    try:
        fabric = _fabric(device, num, spares)
        result = share(fabric, *arguments, report=report, say=lambda line: pipe.send(("say", line)))
        torch.distributed.destroy_process_group()
        pipe.send(("result", result))
    except (UserError, CollapsedError) as error:
        pipe.send(("error", error))
        os._exit(1)
    except KeyboardInterrupt:
        os._exit(1)
    except Exception as error:
        pipe.send(("crash", told(error), described(error)))
        os._exit(1)  # not by raising: the parent says what there is to say


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
