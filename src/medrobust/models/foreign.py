"""Networks that others define: a Python callable, an exported program, an ONNX file."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserError, nearest
from .weights import first_line

NAMED = ("zoo", "torchvision", "timm", "monai")  # sources of networks by name, see zoo.SOURCES


def is_callable_spec(spec: str) -> bool:
    """Whether spec reads `package.module:callable`."""
    return re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", spec) is not None and spec.split(":")[0] not in NAMED


def from_callable(spec: str) -> nn.Module:
    """The nn.Module that `package.module:callable` returns; the current directory can be imported from.

    Errors: UserError when the import fails, the name is missing, or the result is not a module.
    """
    module_name, _, name = spec.partition(":")
    with _current_directory_first():
        try:
            module = importlib.import_module(module_name)
        except Exception as error:
            reason = f"cannot be imported: {type(error).__name__}: {first_line(error)}"
            raise UserError(spec, reason, "run from the folder that holds it, or install it") from error
        if not hasattr(module, name):
            public = [n for n in dir(module) if not n.startswith("_")]
            raise UserError(spec, f"{module_name} has no {name!r}", nearest(name, public))
        try:
            network = getattr(module, name)()
        except Exception as error:
            reason = f"raised {type(error).__name__}: {first_line(error)}"
            raise UserError(spec, reason, "it is called without arguments") from error
    if not isinstance(network, nn.Module):
        raise UserError(spec, f"returned a {type(network).__name__}", "it must return a torch.nn.Module")
    return network


@contextmanager
def _current_directory_first() -> Iterator[None]:
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


class Exported(nn.Module):
    """An exported program: its mode was fixed at export, so train() and eval() change nothing inside."""

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self.program = program

    def train(self, mode: bool = True) -> Exported:
        """Note the mode, and leave the program as it is."""
        self.training = mode  # the program itself refuses to be switched
        return self

    def forward(self, x: Tensor) -> Any:
        """What the program gives for x (n, c, *spatial)."""
        return self.program(x)


def from_exported(path: Path) -> nn.Module:
    """The program in a .pt2 file (torch.export.save). Pickled parts are refused: only tensors are read.

    Errors: UserError when the file is no such program.
    """
    before = os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD")
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"  # torch.export.load unpickles otherwise
    try:
        return Exported(torch.export.load(path).module())
    except Exception as error:
        reason = f"is not an exported program: {first_line(error)}"
        raise UserError(str(path), reason, "write it with torch.export.save") from error
    finally:
        if before is None:
            del os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"]
        else:
            os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = before


def from_onnx(path: Path) -> nn.Module:
    """An ONNX graph as a differentiable module. Errors: UserError without onnx2torch, or when it cannot be read."""
    try:
        import onnx2torch
    except ImportError as error:
        raise UserError(str(path), "reading ONNX needs onnx2torch", "pip install 'medrobust[onnx]'") from error
    try:
        network: nn.Module = onnx2torch.convert(str(path))
    except Exception as error:
        raise UserError(str(path), f"cannot be read as ONNX: {type(error).__name__}: {first_line(error)}") from error
    return network
