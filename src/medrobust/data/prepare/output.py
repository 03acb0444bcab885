"""Folders that `medrobust data prepare` writes: images first, the table last, resumed where a run broke off."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from ...files import write_json, write_with


def begin(out: Path, parameters: Mapping[str, Any]) -> None:
    """Make the folder, or go on in it when it was begun with the same parameters.

    Errors: UserError when the folder holds something else.
    """
    record = out / "prepare.json"
    if record.exists():
        if json.loads(record.read_text()) != json.loads(json.dumps(parameters)):
            raise UserError(str(out), "was prepared with other options", "choose another folder, or remove it")
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(str(out), "is not an empty folder", "choose another")
    write_json(record, parameters)


def write_png(path: Path, values: np.ndarray) -> None:
    """Write values (h, w), uint8 or uint16, as a grey PNG, whole or absent."""
    from PIL import Image

    write_with(path, lambda temporary: Image.fromarray(values).save(temporary, format="png"))


def write_volume(path: Path, values: np.ndarray, low: float, high: float, bits: int, unit: str) -> None:
    """Write values (d, h, w) as a .npz that read_npz understands, whole or absent."""

    def save(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, image=values, low=low, high=high, bits=bits, unit=unit)

    write_with(path, save)
