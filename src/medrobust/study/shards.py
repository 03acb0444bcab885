"""One audit over several processes or machines: its parts are cells, and its rows those of one process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from ..auditing.setup import Setup, resolve
from ..errors import UserError, nearest
from ..measuring.clean import clean_pass
from ..measuring.measure import measure_parts
from ..progress import Report
from ..recipes.audit import AuditRecipe
from ..recipes.plain import as_dict, deciding
from ..recipes.yaml import from_plain
from ..runs import digest
from .cell import Cell
from .launchers import LAUNCHERS
from .launchers.how import How

SHARDS = "shards"  # inside the folder of the parts, and gone with it
Spread = Callable[[Path, int], None]
_READY: dict[str, tuple[Setup, Tensor]] = {}  # of this process: what all its parts share


def spread(recipe: AuditRecipe, launcher: str, how: How | None = None, report: Report | None = None) -> Spread:
    """What `run_audit` calls to have the parts of an audit measured elsewhere, each once.

    A part is at most 512 images on a processor, 4096 on a graphics card; the first is measured before. What a launcher
    leaves undone, the audit itself does. The rows are those of one process with as many threads.

    Args:
        recipe: of the audit.
        launcher: a name of LAUNCHERS.
        how: workers, threads, and the address of a Ray cluster whose machines share the folder.
        report: called with (what, done, of).

    Errors: UserError for an unknown launcher, or an address without Ray.
    """
    if launcher not in LAUNCHERS:
        raise UserError("launcher", f"unknown launcher {launcher!r}", nearest(launcher, LAUNCHERS))
    how = how or How()
    if how.address is not None and launcher != "ray":
        raise UserError("--address", f"is for the launcher ray, not {launcher}", "add --launcher ray")

    def run(folder: Path, num_parts: int) -> None:
        plain, name = as_dict(recipe), digest([deciding(recipe), str(folder.absolute())])
        given = {"audit": plain, "device": recipe.device, "parts": str((folder / "parts").absolute())}
        todo = [
            Cell("part", {"kind": "part", "number": number, "run": name}, given, title=f"part {number}")
            for number in range(1, num_parts)
        ]
        ended: dict[str, str] = {}

        def told(key: str, status: str) -> None:
            if status != "begun":
                ended[key] = status
            if report:
                report("parts", 1 + len(ended), num_parts)

        if todo:
            LAUNCHERS[launcher](todo, folder / "parts" / SHARDS, told, replace(how, do=measure_one))

    return run


def measure_one(cell: Cell, run: Path, start: Path | None, log: Callable[[str], None]) -> Mapping[str, Any]:
    """Measure one part of an audit, in whatever process this is."""
    name, number = str(cell.values["run"]), int(cell.values["number"])
    if name not in _READY:
        setup = resolve(from_plain(AuditRecipe, cell.recipe["audit"]))
        with setup.model.frozen():
            _READY[name] = setup, clean_pass(setup.model.to(setup.plan.device), setup.images, setup.plan)
    setup, clean = _READY[name]
    measure_parts(setup.model, setup.images, setup.plan, Path(cell.recipe["parts"]), (number,), clean=clean)
    return {"number": number}
