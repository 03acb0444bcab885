"""What of a study is worth keeping: the files that its check reads, without weights, rows and pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..auditing.explained import EXPLAIN
from ..errors import UserError
from ..files import read_json, write_json
from .read import CELLS, ERROR, RESULT, RUN, STUDY_FILE, VALUES, cell_folder, read_study
from .recipe import EXPECTED


def pack(folder: Path, target: Path, cells: Path | None = None) -> int:
    """Copy study.json, the paper's numbers, and values and results of the cells of a study; returns how many cells.

    A folder that holds an older copy of the same study is renewed. What is copied names no path of this machine.

    Args:
        folder: of the study.
        target: to be committed or sent.
        cells: where its cells are; folder/cells by default.

    Errors: UserError when folder is no study, or target holds something else.
    """
    study = read_study(folder, cells)
    if (target / STUDY_FILE).exists():
        old = read_study(target)
        if (old.name, old.profile) != (study.name, study.profile):
            raise UserError(str(target), f"holds the study {old.name}, profile {old.profile}", "choose another folder")
        shutil.rmtree(target / CELLS, ignore_errors=True)
    elif target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(str(target), "is not an empty folder", "choose another")
    write_json(target / STUDY_FILE, read_json(folder / STUDY_FILE))
    if (folder / EXPECTED).exists():
        shutil.copyfile(folder / EXPECTED, target / EXPECTED)
    num = 0
    for key in dict.fromkeys(key for job in study.jobs for key in (job.train, job.audit) if key):
        found = cell_folder(cells or folder / CELLS, key)
        files = [] if found is None else [found / name for name in (RESULT, ERROR) if (found / name).exists()]
        if found is None or not files:
            continue
        num += 1
        (target / CELLS / found.name).mkdir(parents=True, exist_ok=True)
        for file in [found / VALUES, *files]:
            shutil.copyfile(file, target / CELLS / found.name / file.name)
        if (found / RUN / EXPLAIN).exists():  # its numbers and its plane; pictures show patients and stay
            (target / CELLS / found.name / RUN).mkdir(exist_ok=True)
            shutil.copyfile(found / RUN / EXPLAIN, target / CELLS / found.name / RUN / EXPLAIN)
    return num
