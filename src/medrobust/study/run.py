"""Run what is missing of a study."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from ..errors import UserError, nearest
from ..progress import Report
from .cell import Cell
from .claim import held
from .grid import Grid
from .launchers import LAUNCHERS
from .launchers.how import How
from .launchers.threads import check_counts, cores, on_card
from .read import STUDY_FILE, read_study
from .recipe import EXPECTED
from .worker import cells_of, folder_of, retry, status_of

AUTO = "auto"


@dataclass(frozen=True)
class Ran:
    """What came of a run.

    Args:
        folder: of the study.
        statuses: key -> done, failed or blocked.
        errors: name of the cell -> what went wrong.
    """

    folder: Path
    statuses: dict[str, str]
    errors: dict[str, str]

    @property
    def counts(self) -> dict[str, int]:
        """Status -> number of cells."""
        return dict(Counter(self.statuses.values()))


def run_study(
    grid: Grid,
    out: Path,
    *,
    cells: Path | None = None,
    launcher: str = "serial",
    workers: int = 0,
    address: str | None = None,
    threads: int = 0,
    retry_failed: bool = False,
    force: str | None = None,
    expected: Path | None = None,
    report: Report | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Ran:
    """Do every cell of a grid that is not done; a cell that fails never stops the others.

    A run that was killed goes on: cells that are done stay, one that was begun goes on where it stopped.

    Args:
        grid: of a study at a profile.
        out: the folder of the study.
        cells: where cells are; out/cells by default. Studies that share it share cells.
        launcher: a name of LAUNCHERS; "auto" is processes, or serial where a graphics card computes.
        workers: processes; 0 is as many as cores and memory hold.
        address: of a Ray cluster, for the launcher ray; a cluster on this machine by default.
        threads: of each cell; 0 is as OMP_NUM_THREADS says, else one. Rows are equal at equal numbers of threads.
        retry_failed: do failed cells again.
        force: pattern of names of cells to do anew, though they are done, as in "*resnet8*".
        expected: a table of published results to keep beside the study.
        report: called with (what, done, of).
        say: called with one line for each cell that ends.

    Errors: UserError for an unknown launcher, a folder that holds something else, a pattern that names no cell or one
    that a worker holds, and when no worker is left.
    """
    if launcher not in (AUTO, *LAUNCHERS):
        raise UserError("launcher", f"unknown launcher {launcher!r}", nearest(launcher, [AUTO, *LAUNCHERS]))
    check_counts(workers, threads)
    if address is not None and launcher != "ray":
        raise UserError("--address", f"is for the launcher ray, not {launcher}", "add --launcher ray")
    if (out / STUDY_FILE).exists():
        found = read_study(out, cells)
        if (found.name, found.profile) != (grid.recipe.study, grid.profile):
            raise UserError(str(out), f"holds the study {found.name}, profile {found.profile}", "choose another --out")
    elif out.exists() and (not out.is_dir() or any(path.name != "cells" for path in out.iterdir())):
        raise UserError(str(out), "is not empty and not a study of medrobust", "choose another --out")
    folder = cells_of(out, cells)
    forced = [cell for cell in grid.cells.values() if force is not None and fnmatch(cell.name, force)]
    if force is not None and not forced:
        raise UserError("--force", f"no cell is named {force!r}", "see `medrobust study plan`")
    busy = next((cell.name for cell in forced if held(folder_of(folder, cell))), None)
    if busy is not None:
        raise UserError("--force", f"another command works on {busy}", "stop it first")
    grid.write(out)
    if expected is not None and expected.exists() and not (out / EXPECTED).exists():
        shutil.copyfile(expected, out / EXPECTED)
    for cell in forced:
        _forget(folder_of(folder, cell))
    todo = list(grid.cells.values())
    for cell in todo if retry_failed else ():
        if status_of(folder, cell)[0] == "failed":
            retry(folder, cell)
    names = {cell.key: cell.name for cell in todo}
    seen = {cell.key for cell in todo if status_of(folder, cell)[0] == "done"}
    if report:
        report("cells", len(seen), len(todo))

    def told(key: str, status: str) -> None:
        if key in seen or status == "begun":
            return
        seen.add(key)
        say(f"{status:<8} {names[key]}")
        if report:
            report("cells", len(seen), len(todo))

    chosen = LAUNCHERS[_here(todo, len(seen)) if launcher == AUTO else launcher]
    statuses = chosen(todo, folder, told, How(workers, address, threads=threads))
    failed = [cell for cell in todo if statuses.get(cell.key) == "failed"]
    return Ran(out, statuses, {cell.name: status_of(folder, cell)[1] for cell in failed})


def _here(todo: Sequence[Cell], num_done: int) -> str:
    """The launcher that suits this machine."""
    return "serial" if on_card(todo) or cores() == 1 or len(todo) - num_done < 2 else "processes"


def _forget(folder: Path) -> None:
    """Let a cell be done anew: its result goes, and what it was made of."""
    if folder.exists():
        shutil.rmtree(folder)


def overrides_of(device: str | None, num_workers: int | None) -> dict[str, object]:
    """What a command says that cannot change a result."""
    given = {"device": device, "num_workers": num_workers}
    return {key: value for key, value in given.items() if value is not None}
