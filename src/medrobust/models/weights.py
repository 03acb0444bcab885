"""Weights from files: safetensors, or tensors by name read without unpickling anything that can run code."""

from __future__ import annotations

import argparse
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import UserError

SAFE_SUFFIXES = (".safetensors",)
TORCH_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".tar")
KNOWN = SAFE_SUFFIXES + TORCH_SUFFIXES
POINTER = b"version https://git-lfs.github.com/spec/v1"
EXPORT = "export it where it can run: torch.export.save(torch.export.export(model, (images,)), 'FILE.pt2')"
ALONE = "save model.state_dict() alone, or a safetensors file"


class Nest(NamedTuple):
    """The tensors of one mapping in a file, and where in the file that is: `state_dict`, `ema.module`, or empty."""

    path: str
    state: dict[str, Tensor]


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """Name -> tensor (on the CPU) from a safetensors file or a torch file that holds one state dict.

    Errors: UserError when the file is missing, damaged, holds several, or a pickle of anything but tensors.
    """
    nests = read_nests(path)
    if len(nests) > 1:
        raise UserError(str(path), f"holds several state dicts: {few(nest.path for nest in nests)}", ALONE)
    return nests[0].state


def read_nests(path: Path | str) -> list[Nest]:
    """Every mapping that holds tensors in a safetensors file or a torch file, the outer ones first.

    Errors: UserError when the file is missing, damaged, or a pickle of anything but tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(str(path), "no such file")
    refuse_pointer(path)
    if path.suffix in SAFE_SUFFIXES:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return [Nest("", load_file(path))]
        except (SafetensorError, OSError) as error:
            raise UserError(str(path), f"is not a safetensors file: {error}") from error
    if path.suffix not in TORCH_SUFFIXES:
        raise UserError(str(path), "unknown kind of weights file", f"valid: {', '.join(KNOWN)}")
    if is_torchscript(path):
        raise UserError(str(path), "is a TorchScript archive, which is code and never loaded", EXPORT)
    try:
        nests = list(_nests(_unpickled(path)))
    except RecursionError as error:
        raise UserError(str(path), "its dictionaries are nested without end", ALONE) from error
    if not nests:
        raise UserError(str(path), "is not a state dict", ALONE)
    return nests


def _nests(content: Any, path: str = "") -> Iterable[Nest]:
    if not isinstance(content, Mapping):
        return
    state = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if state:
        yield Nest(path, state)
    for name, value in content.items():
        yield from _nests(value, f"{path}.{name}" if path else str(name))


def _unpickled(path: Path) -> Any:
    try:
        with warnings.catch_warnings(), _plain_types():
            warnings.simplefilter("ignore")  # about the pickle protocol of files that are then refused
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"pickled objects other than tensors ({named[1]})" if named else "pickled objects other than tensors"
        reason = f"holds {what}, which are never loaded because they can run code"
        raise UserError(str(path), reason, ALONE) from error
    except Exception as error:  # a damaged pickle can raise anything
        raise UserError(str(path), f"cannot be read as a state dict: {first_line(error)}") from error


def _plain_types() -> AbstractContextManager[Any]:
    """Let the arguments of a training script be read: argparse.Namespace only holds values, of types that are safe."""
    safe_globals = getattr(torch.serialization, "safe_globals", None)  # from torch 2.5 on
    return nullcontext() if safe_globals is None else safe_globals([argparse.Namespace])


def is_torchscript(path: Path) -> bool:
    """Whether a file is an archive of torch.jit.save, whatever its name says.

    Example:
        >>> is_torchscript(Path("nowhere.pt"))
        False
    """
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error):
        return False  # damaged: whoever reads it will say so
    return any("/code/" in name for name in names) and any(name.endswith("/constants.pkl") for name in names)


def refuse_pointer(path: Path | str) -> None:
    """Refuse the stand-in that Git LFS leaves where it did not fetch the file.

    Errors: UserError when the file is one.

    Example:
        >>> refuse_pointer("nowhere.pt")
    """
    path = Path(path)
    if not path.is_file():
        return
    with open(path, "rb") as file:
        if file.read(len(POINTER)) == POINTER:
            raise UserError(str(path), "is a Git LFS pointer and not the file itself", "run git lfs pull")


def few(names: Iterable[str], shown: int = 3) -> str:
    """The first names, and how many more there are.

    Example:
        >>> few(["a", "b", "c", "d"])
        'a, b, c and 1 more'
    """
    names = list(names)
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def first_line(error: BaseException) -> str:
    """The first line of an error's message; the name of its kind where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
