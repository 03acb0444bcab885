"""Work on cells: take one that is ready, do it, write its result, take the next."""

from __future__ import annotations

import json
import shutil
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import read_json, write_atomic, write_json
from ..runs import now
from .cell import Cell
from .claim import claim, held
from .read import CELL_SCHEMA, CELLS, ERROR, RESULT, RUN, VALUES, cell_folder

LOG = "log.txt"
PAUSE = 0.2  # seconds, while every cell that is ready is in other hands
Log = Callable[[str], None]
Told = Callable[[str, str], None]  # key, status
Do = Callable[[Cell, Path, "Path | None", Log], Mapping[str, Any]]


def folder_of(cells: Path, cell: Cell) -> Path:
    """The folder of a cell, whether it is there or not; one that was begun under another title stays where it is."""
    return cell_folder(cells, cell.key) or cells / cell.name


def is_done(cells: Path, cell: Cell) -> bool:
    """Whether a cell has a result, of the values that it has now and of the weights that are there now."""
    return status_of(cells, cell)[0] == "done"


def status_of(cells: Path, cell: Cell, *, mine: bool = False) -> tuple[str, str]:
    """done, stale, failed, running or missing; and why, where that needs a word.

    Args:
        cells: the folder of all cells.
        cell: which.
        mine: the caller holds its claim.
    """
    folder = cell_folder(cells, cell.key)
    if folder is None:
        return "missing", ""
    result, error = read_or_none(folder / RESULT), read_or_none(folder / ERROR)
    if result is not None:
        if result.get("key") != cell.key or read_or_none(folder / VALUES) != _plain(cell.values):
            return "stale", "its files are not of the values that it has now"
        for need in cell.needs if cell.kind == "audit" else ():
            before = cell_folder(cells, need)
            trained = read_or_none(before / RESULT) if before is not None else None
            if trained is not None and trained.get("weights") != result.get("weights"):
                return "stale", "the weights that it measured are not those of its training now"
        return "done", ""
    if not mine and held(folder):
        return "running", "a worker holds its claim"
    if error is not None:
        return "failed", str(error.get("error", ""))
    return "missing", "it was begun and goes on" if (folder / RUN).exists() else ""


def retry(cells: Path, cell: Cell) -> None:
    """Let a cell that failed be done again."""
    (folder_of(cells, cell) / ERROR).unlink(missing_ok=True)


def give_up(cells: Path, cell: Cell, why: str, patience: float = 0.0) -> str:
    """Write down that a cell failed, unless it is done or in other hands; returns its status then.

    Args:
        patience: seconds to wait for a claim: that of a worker that is dying, or of a machine that is gone.
    """
    folder, until = folder_of(cells, cell), time.monotonic() + patience
    while True:
        with claim(folder) as mine:
            status = status_of(cells, cell, mine=mine)[0]
            if mine and status not in ("done", "failed"):
                write_json(folder / ERROR, {"error": why, "when": now()})
                status = "failed"
        if status != "running" or time.monotonic() > until:
            return status
        time.sleep(PAUSE)


def read_or_none(path: Path) -> dict[str, Any] | None:
    """The mapping in a JSON file; None where there is none that can be read."""
    try:
        content = read_json(path)
    except UserError:
        return None
    return content if isinstance(content, dict) else None


def _plain(values: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(values))


def do_cell(cell: Cell, cells: Path, do: Do | None = None, begun: Callable[[], None] = lambda: None) -> str:
    """Do one cell, unless it is done or in other hands; returns its status then: done, failed, running or blocked.

    What fails is written down in the cell and never raised; only an interruption by the user is.

    Args:
        cell: what to do.
        cells: the folder of all cells.
        do: (cell, folder of its run, run of the cell that it needs, log) -> its result; by default the real thing.
        begun: called when the claim is taken and there is something to do.
    """
    before = [cell_folder(cells, need) for need in cell.needs]
    if any(one is None or not (one / RESULT).exists() for one in before):
        return "blocked"
    folder = folder_of(cells, cell)
    with claim(folder) as mine:
        if not mine:
            return "running"
        status = status_of(cells, cell, mine=True)[0]
        if status in ("done", "failed"):  # by another worker, since the caller looked
            return status
        begun()
        for left in (RESULT, ERROR):
            (folder / left).unlink(missing_ok=True)
        if read_or_none(folder / VALUES) != _plain(cell.values):
            write_json(folder / VALUES, cell.values)
        start = before[0] / RUN if before and before[0] is not None else None
        began = time.perf_counter()
        with open(folder / LOG, "a", encoding="utf-8") as file:

            def log(line: str) -> None:
                file.write(f"{now()} {line}\n")
                file.flush()

            log("goes on" if (folder / RUN).exists() else "begins")
            try:
                found = (do or real)(cell, folder / RUN, start, log)
                head = {"schema": CELL_SCHEMA, "kind": cell.kind, "key": cell.key}
                result = {**head, "seconds": round(time.perf_counter() - began, 3), **found}
                text = json.dumps(result, allow_nan=False, separators=(",", ":"))
            except Exception as error:
                file.write(traceback.format_exc())
                said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
                write_json(folder / ERROR, {"error": said, "when": now()})
                return "failed"
        write_atomic(folder / RESULT, text + "\n")
    return "done"


def real(cell: Cell, run: Path, start: Path | None, log: Log) -> Mapping[str, Any]:
    """Train or audit, in the folder run; a run that was killed goes on where it stopped."""
    from .do import audit_result, train_result  # heavy, and not needed by who only looks

    do = train_result if cell.kind == "train" else audit_result
    try:
        return do(cell, run, start, log)
    except UserError as error:
        # The folder was begun by another version, or under another path of the weights: it starts anew.
        if "holds a run" not in error.problem:
            raise
        log(f"starts anew: {error.problem}")
        shutil.rmtree(run)
        return do(cell, run, start, log)


def work(todo: Sequence[Cell], cells: Path, told: Told | None = None, do: Do | None = None) -> dict[str, str]:
    """Do every cell of a list, in its order, as far as other workers leave them; returns key -> status.

    Any number of workers may call this with the same list, on any number of machines that share the folder: each takes
    what is ready and free, and waits only while nothing is.

    Args:
        todo: cells, those first that others need.
        cells: the folder of all cells.
        told: called with the key and the status of each cell that begins here ("begun") or ends.
        do: see `do_cell`.
    """
    ended: dict[str, str] = {}
    listed = {cell.key for cell in todo}

    def tell(cell: Cell, status: str) -> None:
        if told is not None:
            told(cell.key, status)

    def end(cell: Cell, status: str) -> bool:
        ended[cell.key] = status
        tell(cell, status)
        return True

    while len(ended) < len(todo):
        moved = False
        for cell in todo:
            if cell.key in ended:
                continue
            if any(ended.get(need) in ("failed", "blocked") for need in cell.needs):
                moved = end(cell, "blocked")
                continue
            if any(need in listed and need not in ended for need in cell.needs):
                continue  # whether it is stale is known when its training is done
            status = status_of(cells, cell)[0]
            if status in ("missing", "stale"):
                status = do_cell(cell, cells, do, begun=lambda one=cell: tell(one, "begun"))  # type: ignore[misc]
            if status != "running":
                moved = end(cell, status)
        if not moved:
            time.sleep(PAUSE)
    return ended


def cells_of(out: Path, given: Path | None) -> Path:
    """The folder of the cells of a study."""
    return given if given is not None else out / CELLS
