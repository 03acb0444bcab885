"""Where studies are, and how their files are read."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..errors import UserError, nearest
from ..recipes.study import StudyRecipe
from ..recipes.yaml import read_recipe, study_recipe

RECIPE, EXPECTED = "recipe.yaml", "expected.csv"
# What a copy of a study takes along: not what others found with it.
COPIED = (RECIPE, EXPECTED, "README.md")


def studies_folder() -> Path:
    """The folder of the studies that come with medrobust: of the installed package, else of the source tree."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "studies"
    return installed if installed.is_dir() else package.parents[1] / "studies"


def bundled() -> dict[str, Path]:
    """Name -> folder of the studies that come with medrobust."""
    return {path.parent.name: path.parent for path in sorted(studies_folder().glob(f"*/{RECIPE}"))}


def find_recipe(name: Path | str) -> Path:
    """The recipe file that a file, a folder or the name of a bundled study stands for.

    Errors: UserError when there is none.
    """
    path = Path(name)
    if path.is_dir() and (path / RECIPE).is_file():
        return path / RECIPE
    if path.is_file():
        return path
    known = bundled()
    if str(name) in known:
        return known[str(name)] / RECIPE
    if path.is_dir():
        raise UserError(str(path), f"holds no {RECIPE}")
    raise UserError(str(name), "is no file, no folder and no study", nearest(str(name), list(known)))


def read_study_recipe(name: Path | str) -> StudyRecipe:
    """The recipe of a study. Errors: UserError as `find_recipe`, and for what is wrong in the file."""
    return study_recipe(read_recipe(find_recipe(name)))


def copy_study(name: str, folder: Path) -> Path:
    """Copy a bundled study, without results, to change it; returns the new recipe.

    Errors: UserError for an unknown name, or a folder that is not empty.
    """
    source = find_recipe(name).parent
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(str(folder), "is not an empty folder", "choose another")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in COPIED:
            if (source / file).exists():
                shutil.copyfile(source / file, folder / file)
    except OSError as error:
        raise UserError(str(folder), f"cannot be written: {error.strerror or error}") from error
    return folder / RECIPE
