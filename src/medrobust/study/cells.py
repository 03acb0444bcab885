"""From resolved recipes to cells: what of them decides the result, and what they read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..data.choose.combined import split_spec
from ..data.open import DATASETS, list_images
from ..errors import UserError
from ..files import sha256_file
from ..recipes.audit import AuditRecipe
from ..recipes.parts import DataSpec
from ..recipes.plain import as_dict, deciding
from ..recipes.train import TrainRecipe
from ..runs import digest
from .cell import Cell

# Raised by hand when the same values come to mean another result.
CELL_VERSION = 1


def train_cell(recipe: TrainRecipe, start: Cell | None, title: str) -> Cell:
    """The cell of a training.

    Args:
        recipe: resolved.
        start: the training whose weights it starts from, if any.
        title: for the name of its folder.

    Errors: UserError when the data or the weights that it starts from cannot be read.
    """
    values = deciding(recipe)
    values["data"] = _without_path(values["data"])
    init = recipe.model.init
    begins = None if start is None else start.key
    if start is None and init is not None:
        begins = _hash_of(Path(init))
    values["model"] = {**values["model"], "init": begins}
    content = {
        "kind": "train",
        "version": CELL_VERSION,
        "recipe": values,
        "data": _content(recipe.data),
    }
    return Cell("train", content, as_dict(recipe), () if start is None else (start.key,), title)


def audit_cell(recipe: AuditRecipe, trained: Cell, checks: str, title: str) -> Cell:
    """The cell of an audit of what another cell trained. Errors: as `train_cell`."""
    values = deciding(recipe)
    values["data"] = _without_path(values["data"])
    values["model"] = {**values["model"], "name": "trained"}
    content = {
        "kind": "audit",
        "version": CELL_VERSION,
        "recipe": values,
        "data": _content(recipe.data),
        "trained": trained.key,
        "checks": checks,
    }
    return Cell("audit", content, as_dict(recipe), (trained.key,), title, checks)


def _without_path(data: Mapping[str, Any]) -> dict[str, Any]:
    """The section data with the kinds of the sets in place of where they lie: their content is hashed."""
    found = dict(data)
    for key in ("name", "unlabeled"):
        if found.get(key):
            found[key] = "+".join(_kind(part) for part in split_spec(found[key], DATASETS))
    return found


def _kind(spec: str) -> str:
    """The name of a set; of one that is made in memory, what is made."""
    name = spec.partition(":")[0]
    return spec if name == "phantom" else name


def _content(spec: DataSpec) -> list[str]:
    """The hashes of everything that a section reads."""
    found = [fingerprint(spec.name, **spec.options)]
    return found if not spec.unlabeled else [*found, fingerprint(spec.unlabeled)]


def _hash_of(path: Path) -> str:
    if not path.exists():
        raise UserError("model.init", f"{path} is not there")
    files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    return digest([sha256_file(file) for file in files])


def fingerprint(name: str, **options: Any) -> str:
    """The hash of the whole content of a data set, computed once in a process; nothing is decoded.

    Errors: UserError when it cannot be read.

    Example:
        >>> len(fingerprint("phantom:ct@16,count=40"))
        64
    """
    return _fingerprint(name, json.dumps(options, sort_keys=True))


@lru_cache(maxsize=64)
def _fingerprint(name: str, options: str) -> str:
    return list_images(name, options=json.loads(options)).fingerprint()
