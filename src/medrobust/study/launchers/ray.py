"""Ray Core: each cell is a task, on this machine or on a cluster whose machines share the folder of the cells."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...models.memory import keep_freed_memory
from ..cell import Cell
from ..claim import BEAT, STALE
from ..worker import Do, Told, give_up, work
from .how import How
from .threads import cores, threads_of, use_threads

LOCAL = "local"
PATIENCE = STALE + 2 * BEAT  # seconds, after which the claim of a machine that is gone is free
MAX_RETRIES = 3  # of a task whose worker or machine died
OFFLINE = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def ray(todo: Sequence[Cell], cells: Path, told: Told, how: How | None = None) -> dict[str, str]:
    """Do the cells as tasks of Ray, each with its processors, and a GPU where its recipe asks for one.

    A task begins when those that it needs have ended; what it finds is a file, and only its status is sent back. A task
    whose worker or machine dies is done again elsewhere, where it goes on; a cell at which four have died has failed.

    Args:
        todo: cells, those first that others need.
        cells: their folder, at the same path on every machine.
        told: called with the key and the status of each cell that ends.
        how: see `How`. The processors are divided by its workers; without any each cell has as many as it has threads.

    Errors: UserError when Ray is not installed, the cluster does not answer, or a GPU is asked for that is not there.
    """
    how = how or How()
    with cluster(how.address) as core:
        there = core.cluster_resources()
        num_gpus, num_cpus = there.get("GPU", 0), int(there.get("CPU", 1))
        each = threads_of(how.threads)
        share = max(min(each, num_cpus), num_cpus // how.workers if how.workers else 1)
        task = core.remote(max_retries=MAX_RETRIES)(_task)
        tasks: dict[str, Any] = {}
        for cell in todo:
            device = str(cell.recipe.get("device", "cpu"))
            if device.startswith("cuda") and not num_gpus:
                raise UserError("device", f"{device}: no machine of the cluster has a GPU", "choose device=cpu")
            gpus = 1 if num_gpus and not device.startswith("cpu") else 0
            before = [tasks[need] for need in cell.needs if need in tasks]
            given = task.options(num_cpus=share, num_gpus=gpus, name=cell.name)
            tasks[cell.key] = given.remote(cell, str(cells.absolute()), str(Path.cwd()), each, how.do, *before)
        return _ended(core, todo, tasks, cells, told)


def _ended(core: Any, todo: Sequence[Cell], tasks: dict[str, Any], cells: Path, told: Told) -> dict[str, str]:
    """Key -> status, as the tasks end."""
    ended: dict[str, str] = {}
    left = {tasks[cell.key]: cell for cell in todo}
    while left:
        ready, _ = core.wait(list(left), num_returns=1)
        # What ends with the death of a task that it waited for is asked after that task.
        for cell in [cell for one, cell in left.items() if one in ready or not ready]:
            if any(need in tasks and need not in ended for need in cell.needs):
                continue
            try:
                status = core.get(tasks[cell.key])
            except core.exceptions.RayError as error:
                # Also where it was Ray that gave up on a task: what it left is a cell that says so.
                said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
                bad = any(ended.get(need, "done") != "done" for need in cell.needs)
                status = "blocked" if bad else give_up(cells, cell, f"its workers died: {said}", PATIENCE)
            del left[tasks[cell.key]]
            ended[cell.key] = status
            told(cell.key, status)
    return ended


def _task(cell: Cell, cells: str, place: str, threads: int, do: Do | None, *before: str) -> str:
    """What a task does; returns the status of its cell."""
    if set(before) - {"done"}:
        return "blocked"
    logging.disable(logging.CRITICAL)
    use_threads(threads)
    keep_freed_memory()  # this process is ours
    if Path(place).is_dir():  # where paths of a recipe begin
        os.chdir(place)
    return work([cell], Path(cells), do=do)[cell.key]


@contextmanager
def cluster(address: str | None) -> Iterator[Any]:
    """Ray, connected; what was begun for this ends with it.

    Args:
        address: of a cluster; else what RAY_ADDRESS says, else a new one on this machine.

    Errors: UserError when Ray is not installed, or the cluster does not answer.
    """
    for name, value in OFFLINE.items():
        os.environ.setdefault(name, value)
    try:
        core = importlib.import_module("ray")
    except ImportError as error:
        raise UserError("--launcher ray", "Ray is not installed", "pip install medrobust[ray]") from error
    if core.is_initialized():
        yield core
        return
    place = address or os.environ.get("RAY_ADDRESS") or LOCAL
    here = {"num_cpus": cores(), "include_dashboard": False} if place == LOCAL else {}
    quiet = {} if place.startswith("ray://") else {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        with _paths_for_children():
            core.init(place, **here, **quiet)
    except (ConnectionError, ImportError, RuntimeError, ValueError) as error:
        said = str(error).strip().splitlines()
        raise UserError(
            f"Ray at {place}", f"does not answer: {said[0] if said else type(error).__name__}", "see `ray status`"
        ) from error
    try:
        yield core
    finally:
        core.shutdown()


@contextmanager
def _paths_for_children() -> Iterator[None]:
    """Processes that start meanwhile find the modules that this one finds."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(str(Path(path).absolute()) for path in sys.path if Path(path).is_dir())
    try:
        yield
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
